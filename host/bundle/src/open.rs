//! Opening a bundle: from `oci-layout` to the last layer, each step believed only after
//! its size and digest are seen to be what the step before announced.

use std::path::{Path, PathBuf};

use monopod_core::component::Schema;
use serde::de::DeserializeOwned;

use crate::layout::{
    ARTIFACT_TYPE, About, BLOBS, CONFIG_TYPE, Config, Descriptor, INDEX_FILE, Index, LAYOUT_FILE,
    LAYOUT_VERSION, Layout, MANIFEST_LAYER, MANIFEST_TYPE, Manifest, SCHEMA_LAYER, WASM_LAYER,
};
use crate::{Error, MAX_DOCUMENT, MAX_LAYERS, MAX_TEXT, MAX_WASM, file};

/// A bundle whose every part was verified.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The component's name, as its manifest has it.
    pub name: String,
    /// Its version, likewise.
    pub version: String,
    /// The text of its `component.toml`; `config` reads it.
    pub manifest: String,
    /// Its `schema.graphql`, if it has one.
    pub schema: Option<Schema>,
    /// The file with its code. It was verified when the bundle was opened; who loads it
    /// later compares with `wasm_digest` again.
    pub wasm: PathBuf,
    /// The code's digest, `sha256:<64 hex>`.
    pub wasm_digest: String,
    /// The digest of the whole bundle (its OCI manifest), `sha256:<64 hex>`.
    pub digest: String,
    /// All layers together, in bytes.
    pub size: u64,
}

/// Opens the bundle in the folder `dir`. Reads it whole once.
pub fn open(dir: &Path) -> Result<Bundle, Error> {
    parts(dir).map(|(bundle, _)| bundle)
}

/// The same, and the names of all its blobs.
pub(crate) fn parts(dir: &Path) -> Result<(Bundle, Vec<String>), Error> {
    if !dir.is_dir() {
        return Err(Error::Missing { file: dir.to_owned(), what: "bundle" });
    }
    let layout: Layout = document(&dir.join(LAYOUT_FILE), "mark of a bundle")?;
    if layout.image_layout_version != LAYOUT_VERSION {
        let file = dir.join(LAYOUT_FILE);
        return Err(foreign(file, format!("image layout {LAYOUT_VERSION}"), layout.image_layout_version));
    }
    let index_file = dir.join(INDEX_FILE);
    let index: Index = document(&index_file, "index of the bundle")?;
    let [of_manifest] = index.manifests.as_slice() else {
        return Err(foreign(index_file, "one manifest", index.manifests.len().to_string()));
    };
    if index.schema_version != 2 || of_manifest.media_type != MANIFEST_TYPE {
        return Err(foreign(index_file, MANIFEST_TYPE, of_manifest.media_type.clone()));
    }
    let (manifest_file, bytes) = blob(dir, &index_file, of_manifest, "manifest", MAX_DOCUMENT)?;
    let manifest: Manifest = parse(&manifest_file, &bytes)?;
    accept(&manifest_file, &manifest)?;

    let one = |kind: &'static str| {
        let mut found = manifest.layers.iter().filter(|layer| layer.media_type == kind);
        let first = found.next();
        match found.next() {
            Some(_) => Err(foreign(manifest_file.clone(), format!("one layer {kind}"), "several")),
            None => Ok(first),
        }
    };
    let must = |kind: &'static str| {
        one(kind)?.ok_or_else(|| foreign(manifest_file.clone(), format!("a layer {kind}"), "none"))
    };
    let (of_wasm, of_text, of_schema) = (must(WASM_LAYER)?, must(MANIFEST_LAYER)?, one(SCHEMA_LAYER)?);

    let wasm = verified(dir, &manifest_file, of_wasm, "component", MAX_WASM)?;
    let (text_file, text) = blob(dir, &manifest_file, of_text, "component.toml", MAX_TEXT)?;
    let text = utf8(&text_file, text)?;
    let about = About::parse(&text).map_err(|why| foreign(text_file, "name and version", why))?;
    let schema = match of_schema {
        None => None,
        Some(layer) => {
            let (file, text) = blob(dir, &manifest_file, layer, "schema.graphql", MAX_TEXT)?;
            Some(Schema { file: format!("{}/schema.graphql", about.name), text: utf8(&file, text)? })
        }
    };
    let known = [WASM_LAYER, MANIFEST_LAYER, SCHEMA_LAYER];
    for other in manifest.layers.iter().filter(|layer| !known.contains(&layer.media_type.as_str())) {
        verified(dir, &manifest_file, other, "layer", MAX_WASM)?;
    }
    config(dir, &manifest_file, &manifest)?;
    let blobs = [of_manifest, &manifest.config].into_iter().chain(&manifest.layers);
    let blobs = blobs.filter_map(|blob| blob.digits().map(str::to_owned)).collect();
    let bundle = Bundle {
        name: about.name,
        version: about.version,
        manifest: text,
        schema,
        wasm,
        wasm_digest: of_wasm.digest.clone(),
        digest: of_manifest.digest.clone(),
        size: manifest.layers.iter().map(|layer| layer.size).sum(),
    };
    Ok((bundle, blobs))
}

/// Whether a manifest is one of ours.
fn accept(file: &Path, manifest: &Manifest) -> Result<(), Error> {
    let artifact = manifest.artifact_type.as_deref().unwrap_or("no artifactType");
    if artifact != ARTIFACT_TYPE {
        return Err(foreign(file.to_owned(), ARTIFACT_TYPE, artifact));
    }
    if manifest.config.media_type != CONFIG_TYPE {
        return Err(foreign(file.to_owned(), CONFIG_TYPE, manifest.config.media_type.clone()));
    }
    if manifest.layers.len() > MAX_LAYERS {
        let found = format!("{}", manifest.layers.len());
        return Err(foreign(file.to_owned(), format!("at most {MAX_LAYERS} layers"), found));
    }
    Ok(())
}

/// The config names the layers once more; a bundle put together from two is found here.
fn config(dir: &Path, manifest_file: &Path, manifest: &Manifest) -> Result<(), Error> {
    let (file, bytes) = blob(dir, manifest_file, &manifest.config, "config", MAX_DOCUMENT)?;
    let config: Config = parse(&file, &bytes)?;
    if !config.layer_digests.iter().eq(manifest.layers.iter().map(|layer| &layer.digest)) {
        return Err(foreign(file, "the digests of the manifest's layers", "others"));
    }
    Ok(())
}

/// The bytes of a blob that are what its descriptor says.
fn blob(
    dir: &Path,
    named_in: &Path,
    of: &Descriptor,
    what: &'static str,
    max: u64,
) -> Result<(PathBuf, Vec<u8>), Error> {
    let file = place(dir, named_in, of, max)?;
    let bytes = file::read(&file, what, max)?;
    compare(&file, of, &file::digest(&bytes), bytes.len() as u64)?;
    Ok((file, bytes))
}

/// The file of a blob that is what its descriptor says.
fn verified(
    dir: &Path,
    named_in: &Path,
    of: &Descriptor,
    what: &'static str,
    max: u64,
) -> Result<PathBuf, Error> {
    let file = place(dir, named_in, of, max)?;
    let (digest, size) = file::measure(&file, what, max)?;
    compare(&file, of, &digest, size)?;
    Ok(file)
}

/// Where a blob lies.
fn place(dir: &Path, named_in: &Path, of: &Descriptor, max: u64) -> Result<PathBuf, Error> {
    let Some(digits) = of.digits() else {
        let found: String = of.digest.chars().take(100).collect();
        return Err(foreign(named_in.to_owned(), "a digest sha256:<64 hex>", format!("{found:?}")));
    };
    let file = dir.join(BLOBS).join(digits);
    if of.size > max {
        return Err(Error::TooLarge { file, found: of.size, max });
    }
    Ok(file)
}

fn compare(file: &Path, of: &Descriptor, digest: &str, size: u64) -> Result<(), Error> {
    if of.size == size && of.digest == digest {
        return Ok(());
    }
    // A file cut short has another digest, too; its size says more.
    let (expected, found) = if of.size == size {
        (of.digest.clone(), digest.to_owned())
    } else {
        (format!("{} bytes", of.size), format!("{size}"))
    };
    Err(Error::Damaged { file: file.to_owned(), expected, found })
}

fn document<T: DeserializeOwned>(file: &Path, what: &'static str) -> Result<T, Error> {
    parse(file, &file::read(file, what, MAX_DOCUMENT)?)
}

fn parse<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|why| Error::Damaged {
        file: file.to_owned(),
        expected: "a JSON document of an OCI image layout".into(),
        found: why.to_string(),
    })
}

fn utf8(file: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|why| foreign(file.to_owned(), "UTF-8 text", why.utf8_error().to_string()))
}

fn foreign(file: PathBuf, expected: impl Into<String>, found: impl Into<String>) -> Error {
    let found: String = found.into();
    // It comes from a file nobody vouches for, and goes to a terminal.
    let found = found.chars().filter(|c| !c.is_control()).take(200).collect();
    Error::Foreign { file, expected: expected.into(), found }
}
