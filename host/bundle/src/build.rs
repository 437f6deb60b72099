//! Making a bundle. The same component gives the same bytes and so the same digest: no
//! times, no paths, no order of a file system are in it.
//!
//! Blobs are written first, under their digests, and `index.json` last, by renaming:
//! whoever opens the folder meanwhile, or after a crash, finds the old bundle whole or
//! the new one, never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::file::{self, digest, io};
use crate::layout::{
    ANNOTATION_DESCRIPTION, ANNOTATION_REF, ANNOTATION_TITLE, ANNOTATION_VERSION, ARTIFACT_TYPE, About,
    BLOBS, CONFIG_TYPE, Config, Descriptor, INDEX_FILE, INDEX_TYPE, Index, LAYOUT_FILE, LAYOUT_VERSION,
    Layout, MANIFEST_LAYER, MANIFEST_TYPE, Manifest, SCHEMA_LAYER, WASM_LAYER,
};
use crate::{Error, MAX_TEXT, MAX_WASM, interface};

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The component's name.
    pub name: String,
    /// The digest of the whole bundle, `sha256:<64 hex>`.
    pub digest: String,
    /// The digest of its code, `sha256:<64 hex>`.
    pub wasm_digest: String,
    /// All layers together, in bytes.
    pub size: u64,
}

/// Makes the bundle of the component whose `component.toml` and, if it has one,
/// `schema.graphql` are in `component`, and whose code is the file `wasm`, in the folder
/// `out`: made if it is not there, refused if it holds something else, replaced if it
/// holds a bundle.
pub fn build(component: &Path, wasm: &Path, out: &Path) -> Result<Built, Error> {
    let source = Source::read(component, wasm)?;
    prepare(out)?;
    let mut writer = Writer { blobs: out.join(BLOBS), kept: BTreeSet::new() };

    let mut layers = vec![writer.titled(WASM_LAYER, "component.wasm", &source.wasm)?];
    layers.push(writer.titled(MANIFEST_LAYER, "component.toml", source.text.as_bytes())?);
    if let Some(schema) = &source.schema {
        layers.push(writer.titled(SCHEMA_LAYER, "schema.graphql", schema.as_bytes())?);
    }
    let wasm_digest = digest(&source.wasm);
    let size = layers.iter().map(|layer| layer.size).sum();
    let config = Config {
        // The guidance wants a time; a real one would make every build another bundle.
        created: "1970-01-01T00:00:00Z".to_owned(),
        architecture: "wasm".to_owned(),
        os: "wasip2".to_owned(),
        layer_digests: layers.iter().map(|layer| layer.digest.clone()).collect(),
        component: source.interface,
    };
    let config = writer.blob(CONFIG_TYPE, &json(&config)?)?;
    let mut annotations = BTreeMap::from([
        (ANNOTATION_TITLE.to_owned(), source.about.name.clone()),
        (ANNOTATION_VERSION.to_owned(), source.about.version.clone()),
    ]);
    if let Some(description) = source.about.description {
        annotations.insert(ANNOTATION_DESCRIPTION.to_owned(), description);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST_TYPE.to_owned()),
        artifact_type: Some(ARTIFACT_TYPE.to_owned()),
        config,
        layers,
        annotations,
    };
    let mut manifest = writer.blob(MANIFEST_TYPE, &json(&manifest)?)?;
    manifest.artifact_type = Some(ARTIFACT_TYPE.to_owned());
    manifest.annotations.insert(ANNOTATION_REF.to_owned(), source.about.version);
    let whole = manifest.digest.clone();
    let index =
        Index { schema_version: 2, media_type: Some(INDEX_TYPE.to_owned()), manifests: vec![manifest] };
    let layout = Layout { image_layout_version: LAYOUT_VERSION.to_owned() };
    replace(&out.join(LAYOUT_FILE), &json(&layout)?)?;
    replace(&out.join(INDEX_FILE), &json(&index)?)?;
    writer.prune();
    Ok(Built { name: source.about.name, digest: whole, wasm_digest, size })
}

/// What a bundle is made of.
struct Source {
    wasm: Vec<u8>,
    interface: crate::layout::Interface,
    text: String,
    about: About,
    schema: Option<String>,
}

impl Source {
    fn read(component: &Path, wasm_file: &Path) -> Result<Self, Error> {
        let unfit = |file: &Path, why: String, help| Error::Unfit { file: file.to_owned(), why, help };
        let missing = |error, help| match error {
            Error::Missing { file, what } => {
                Error::Unfit { file, why: format!("there is no {what} here"), help }
            }
            other => other,
        };
        let wasm = file::read(wasm_file, "component", MAX_WASM)
            .map_err(|error| missing(error, "build it first: `make run`"))?;
        let interface = interface::read(&wasm)
            .map_err(|why| unfit(wasm_file, why, "build it for the target wasm32-wasip2"))?;
        let file = component.join("component.toml");
        let text = file::read(&file, "component.toml", MAX_TEXT)
            .map_err(|error| missing(error, "write one: name, version and needs of the component"))?;
        let text =
            String::from_utf8(text).map_err(|why| unfit(&file, why.to_string(), "save it as UTF-8"))?;
        let about =
            About::parse(&text).map_err(|why| unfit(&file, why, "it needs at least `name` and `version`"))?;
        let file = component.join("schema.graphql");
        let schema = match file::read(&file, "schema.graphql", MAX_TEXT) {
            Ok(text) => Some(
                String::from_utf8(text).map_err(|why| unfit(&file, why.to_string(), "save it as UTF-8"))?,
            ),
            Err(Error::Missing { .. }) => None,
            Err(other) => return Err(other),
        };
        Ok(Self { wasm, interface, text, about, schema })
    }
}

/// Makes the folder, unless something other than a bundle is in the way.
pub(crate) fn prepare(out: &Path) -> Result<(), Error> {
    let empty = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => true,
        Err(why) => return Err(io(out, "used as a folder")(why)),
    };
    // A bundle whose making was broken off has its blobs already, but not its mark.
    if !empty && !out.join(LAYOUT_FILE).exists() && !out.join(BLOBS).is_dir() {
        return Err(Error::Unfit {
            file: out.to_owned(),
            why: "this folder holds something that is not a bundle".into(),
            help: "name another folder, or empty this one",
        });
    }
    let blobs = out.join(BLOBS);
    std::fs::create_dir_all(&blobs).map_err(io(&blobs, "made"))
}

/// Writes blobs and remembers which ones belong to the bundle.
struct Writer {
    blobs: PathBuf,
    kept: BTreeSet<String>,
}

impl Writer {
    fn titled(&mut self, media_type: &str, title: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let mut descriptor = self.blob(media_type, bytes)?;
        descriptor.annotations.insert(ANNOTATION_TITLE.to_owned(), title.to_owned());
        Ok(descriptor)
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let digest = digest(bytes);
        let digits = digest.trim_start_matches("sha256:").to_owned();
        let file = self.blobs.join(&digits);
        let there = file::measure(&file, "blob", MAX_WASM).is_ok_and(|(found, _)| found == digest);
        if !there {
            replace(&file, bytes)?;
        }
        self.kept.insert(digits);
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            artifact_type: None,
            digest,
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        })
    }

    /// Removes the blobs of earlier bundles. One that cannot be removed does no harm.
    fn prune(&self) {
        for entry in std::fs::read_dir(&self.blobs).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_none_or(|name| !self.kept.contains(name)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Puts a file in place whole or not at all. It is not synced: a bundle that a power
/// cut damaged is refused by its digest and built again.
fn replace(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = file::beside(file);
    std::fs::write(&beside, bytes).map_err(io(&beside, "written"))?;
    std::fs::rename(&beside, file).map_err(io(file, "put in place"))
}

fn json<T: serde::Serialize>(document: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(document).map_err(|why| Error::Unfit {
        file: PathBuf::from(INDEX_FILE),
        why: why.to_string(),
        help: "this is a fault of the platform; please report it",
    })
}
