//! Bundles are made the same way every time, and refused when any part of them is not
//! what it was.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use monopod_bundle::{Error, MAX_DOCUMENT, MAX_TEXT, build, copy, open};
use serde_json::{Value, json};

const TOML: &str = "name = \"ingestion\"\nversion = \"0.1.0\"\ndescription = \"Upload sessions.\"\n";
const SCHEMA: &str = "type Query { ping: String! }\n";

/// A component that imports and exports one instance each: enough to be bundled.
fn component() -> Vec<u8> {
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    let mut section = |id: u8, name: &str, rest: &[u8]| {
        let mut body = vec![1, 0, name.len() as u8];
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(rest);
        wasm.extend_from_slice(&[id, body.len() as u8]);
        wasm.extend_from_slice(&body);
    };
    section(10, "wasi:http/types@0.2.8", &[5, 0]);
    section(11, "wasi:http/incoming-handler@0.2.8", &[5, 0, 0]);
    wasm
}

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self { dir };
        fs::create_dir(fixture.source()).unwrap();
        fs::write(fixture.source().join("component.toml"), TOML).unwrap();
        fs::write(fixture.source().join("schema.graphql"), SCHEMA).unwrap();
        fs::write(fixture.wasm(), component()).unwrap();
        fixture
    }

    fn built() -> Self {
        let fixture = Self::new();
        fixture.build().unwrap();
        fixture
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn wasm(&self) -> PathBuf {
        self.dir.path().join("code.wasm")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("bundles/ingestion")
    }

    fn build(&self) -> Result<monopod_bundle::Built, Error> {
        build(&self.source(), &self.wasm(), &self.out())
    }

    /// The file of the blob with this media type.
    fn blob(&self, media_type: &str) -> PathBuf {
        let manifest = self.manifest();
        let all = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
        let found = all.into_iter().find(|d| d["mediaType"] == media_type).unwrap();
        self.at(found["digest"].as_str().unwrap())
    }

    fn at(&self, digest: &str) -> PathBuf {
        self.out().join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    fn index(&self) -> Value {
        read(&self.out().join("index.json"))
    }

    fn manifest_file(&self) -> PathBuf {
        self.at(self.index()["manifests"][0]["digest"].as_str().unwrap())
    }

    fn manifest(&self) -> Value {
        read(&self.manifest_file())
    }

    /// Puts another manifest in place, with an index that agrees with it.
    fn set_manifest(&self, manifest: &Value) {
        let bytes = serde_json::to_vec(manifest).unwrap();
        let digest = format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes)));
        let mut index = self.index();
        index["manifests"][0]["digest"] = json!(digest);
        index["manifests"][0]["size"] = json!(bytes.len());
        fs::write(self.at(&digest), bytes).unwrap();
        self.set_index(&index);
    }

    fn set_index(&self, index: &Value) {
        fs::write(self.out().join("index.json"), serde_json::to_vec(index).unwrap()).unwrap();
    }

    /// The message that opening gives.
    fn refused(&self) -> String {
        let error = open(&self.out()).unwrap_err();
        let said = error.diagnostic();
        assert!(said.help.is_some());
        assert!(said.file.starts_with(&self.dir.path().display().to_string()), "{}", said.file);
        format!("{said}")
    }
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_bundle_gives_back_what_went_in() {
    let fixture = Fixture::new();
    let built = fixture.build().unwrap();
    let bundle = open(&fixture.out()).unwrap();
    assert_eq!((bundle.name.as_str(), bundle.version.as_str()), ("ingestion", "0.1.0"));
    assert_eq!(bundle.manifest, TOML);
    let schema = bundle.schema.unwrap();
    assert_eq!((schema.file.as_str(), schema.text.as_str()), ("ingestion/schema.graphql", SCHEMA));
    assert_eq!(fs::read(&bundle.wasm).unwrap(), component());
    assert_eq!(bundle.digest, built.digest);
    assert_eq!(bundle.wasm_digest, built.wasm_digest);
    assert_eq!(bundle.size, built.size);
    assert_eq!(built.size, (component().len() + TOML.len() + SCHEMA.len()) as u64);
}

#[test]
fn a_component_without_a_schema_is_a_bundle_too() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.source().join("schema.graphql")).unwrap();
    fixture.build().unwrap();
    assert_eq!(open(&fixture.out()).unwrap().schema, None);
}

#[test]
fn the_same_component_has_the_same_digest_wherever_and_whenever_it_is_bundled() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let first = one.build().unwrap();
    assert_eq!(first, two.build().unwrap());
    assert_eq!(first, one.build().unwrap());
}

#[test]
fn a_bundle_is_replaced_whole_and_leaves_nothing_of_the_old_one() {
    let fixture = Fixture::built();
    let before = open(&fixture.out()).unwrap();
    fs::write(fixture.source().join("schema.graphql"), "type Query { pong: String! }\n").unwrap();
    fixture.build().unwrap();
    let after = open(&fixture.out()).unwrap();
    assert_ne!(before.digest, after.digest);
    assert_eq!(before.wasm_digest, after.wasm_digest);
    let blobs = fs::read_dir(fixture.out().join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 5, "manifest, config and three layers");
}

#[test]
fn a_making_that_was_broken_off_is_made_good_by_the_next() {
    let fixture = Fixture::built();
    fs::remove_file(fixture.out().join("index.json")).unwrap();
    fs::remove_file(fixture.out().join("oci-layout")).unwrap();
    fs::write(fixture.blob_dir().join("0".repeat(64) + ".1.tmp"), "half").unwrap();
    fs::write(fixture.blob_dir().join(wasm_digits()), "half").unwrap();
    fixture.build().unwrap();
    open(&fixture.out()).unwrap();
}

impl Fixture {
    fn blob_dir(&self) -> PathBuf {
        self.out().join("blobs/sha256")
    }
}

fn wasm_digits() -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(component()))
}

#[test]
fn other_tools_find_the_documents_that_the_specification_asks_for() {
    let fixture = Fixture::built();
    let config = read(&fixture.blob("application/vnd.wasm.config.v0+json"));
    for (name, found) in [
        ("oci-layout", read(&fixture.out().join("oci-layout"))),
        ("index.json", fixture.index()),
        ("manifest.json", fixture.manifest()),
        ("config.json", config),
    ] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let text = format!("{}\n", serde_json::to_string_pretty(&found).unwrap());
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&golden).unwrap_or_default(), text, "{name} (UPDATE=1 writes anew)");
    }
}

#[test]
fn a_changed_part_is_refused_by_its_digest() {
    for kind in [
        "application/wasm",
        "application/vnd.monopod.component.v0+toml",
        "application/vnd.monopod.schema.v0+graphql",
        "application/vnd.wasm.config.v0+json",
    ] {
        let fixture = Fixture::built();
        let file = fixture.blob(kind);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let said = fixture.refused();
        assert!(said.contains("damaged: expected sha256:"), "{said}");
        assert!(said.contains(&file.display().to_string()) && said.contains("make run"), "{said}");
    }
}

#[test]
fn a_part_that_was_cut_short_or_grew_is_refused_by_its_size() {
    for change in [-1_i64, 1, -20] {
        let fixture = Fixture::built();
        let file = fixture.blob("application/wasm");
        let size = component().len() as i64 + change;
        fs::File::options().write(true).open(&file).unwrap().set_len(size as u64).unwrap();
        let said = fixture.refused();
        assert!(said.contains(&format!("expected {} bytes, found {size}", component().len())), "{said}");
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    for (file, says) in [
        ("oci-layout", "no mark of a bundle"),
        ("index.json", "no index of the bundle"),
        ("blobs/sha256", "no manifest here"),
    ] {
        let fixture = Fixture::built();
        let path = fixture.out().join(file);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let said = fixture.refused();
        assert!(said.contains(says), "{said}");
    }
    let fixture = Fixture::built();
    fs::remove_file(fixture.blob("application/wasm")).unwrap();
    assert!(fixture.refused().contains("there is no component here"));
    fs::remove_dir_all(fixture.out()).unwrap();
    assert!(fixture.refused().contains("there is no bundle here"));
    fs::write(fixture.out(), "a file").unwrap();
    assert!(fixture.refused().contains("there is no bundle here"));
}

#[test]
fn documents_that_are_not_what_they_should_be_are_refused() {
    for bad in ["", "{", "[]", "null", "{\"manifests\":{}}", "\u{0}"] {
        let fixture = Fixture::built();
        fs::write(fixture.out().join("index.json"), bad).unwrap();
        assert!(fixture.refused().contains("damaged: expected a JSON document"), "{bad}");
    }
    let fixture = Fixture::built();
    fs::write(fixture.out().join("oci-layout"), "{\"imageLayoutVersion\":\"2.0.0\"}").unwrap();
    assert!(fixture.refused().contains("expected image layout 1.0.0, found 2.0.0"));
}

#[test]
fn a_layout_of_another_kind_is_refused() {
    let fixture = Fixture::built();
    let good = fixture.manifest();
    let index = fixture.index();
    let mut none = index.clone();
    none["manifests"] = json!([]);
    let mut two = index.clone();
    two["manifests"] = json!([index["manifests"][0], index["manifests"][0]]);
    let mut nested = index.clone();
    nested["manifests"][0]["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    for (bad, says) in
        [(none, "expected one manifest, found 0"), (two, "found 2"), (nested, "image.index.v1+json")]
    {
        fixture.set_index(&bad);
        assert!(fixture.refused().contains(says), "{says}");
    }
    fixture.set_index(&index);
    let change = |path: &str, to: Value| {
        let mut manifest = good.clone();
        *manifest.pointer_mut(path).unwrap() = to;
        manifest
    };
    let image = "application/vnd.oci.image.config.v1+json";
    let layers = good["layers"].as_array().unwrap();
    for (bad, says) in [
        (change("/artifactType", json!("other\u{1b}[31m")), "found other[31m"),
        (change("/artifactType", Value::Null), "no artifactType"),
        (change("/config/mediaType", json!(image)), image),
        (change("/layers", json!([])), "a layer application/wasm, found none"),
        (change("/layers", json!([layers[0], layers[0], layers[1]])), "several"),
        (change("/layers", json!(vec![layers[0].clone(); 40])), "at most 32 layers"),
        (change("/layers", json!([layers[0], layers[1]])), "the digests of the manifest's layers"),
    ] {
        fixture.set_manifest(&bad);
        let said = fixture.refused();
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn no_digest_leads_out_of_the_folder() {
    let fixture = Fixture::built();
    let good = fixture.manifest();
    let outside = "0".repeat(64);
    for bad in [
        "sha256:../../../../etc/passwd",
        "sha256:/etc/passwd",
        "sha512:../x",
        "../../code.wasm",
        "",
        &format!("sha256:{}", outside.to_uppercase().replace('0', "A")),
        &format!("sha256:{outside}/"),
        &format!("sha256:{}", "ä".repeat(32)),
    ] {
        let mut manifest = good.clone();
        manifest["layers"][0]["digest"] = json!(bad);
        fixture.set_manifest(&manifest);
        let said = fixture.refused();
        assert!(said.contains("expected a digest sha256:<64 hex>"), "{bad}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let fixture = Fixture::built();
    let file = fixture.blob("application/wasm");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(fixture.wasm(), &file).unwrap();
    assert!(fixture.refused().contains("found a symbolic link"));
}

#[test]
fn nothing_larger_than_its_kind_may_be_is_read() {
    let fixture = Fixture::built();
    let mut manifest = fixture.manifest();
    manifest["layers"][1]["size"] = json!(u64::MAX);
    fixture.set_manifest(&manifest);
    assert!(fixture.refused().contains("too large"));

    let fixture = Fixture::built();
    let index = fs::File::options().write(true).open(fixture.out().join("index.json")).unwrap();
    index.set_len(MAX_DOCUMENT + 1).unwrap();
    assert!(fixture.refused().contains("too large"));

    let fixture = Fixture::new();
    fs::write(fixture.source().join("schema.graphql"), vec![b'#'; MAX_TEXT as usize + 1]).unwrap();
    assert!(matches!(fixture.build(), Err(Error::TooLarge { .. })));
}

#[test]
fn layers_of_other_tools_are_verified_and_otherwise_left_alone() {
    let fixture = Fixture::built();
    let (text, mut manifest) = (b"licence", fixture.manifest());
    let digits = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    let layer = json!({"mediaType": "text/plain", "digest": format!("sha256:{digits}"), "size": text.len()});
    manifest["layers"].as_array_mut().unwrap().push(layer);
    let mut config = read(&fixture.blob("application/vnd.wasm.config.v0+json"));
    config["layerDigests"].as_array_mut().unwrap().push(json!(format!("sha256:{digits}")));
    let config = serde_json::to_vec(&config).unwrap();
    let config_digits = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&config));
    manifest["config"]["digest"] = json!(format!("sha256:{config_digits}"));
    manifest["config"]["size"] = json!(config.len());
    fs::write(fixture.blob_dir().join(config_digits), config).unwrap();
    fixture.set_manifest(&manifest);
    assert!(fixture.refused().contains("there is no layer here"));
    fs::write(fixture.blob_dir().join(digits), text).unwrap();
    open(&fixture.out()).unwrap();
}

#[test]
fn what_cannot_be_bundled_is_refused_with_the_fix() {
    type Case<'a> = (&'a str, &'a dyn Fn(&Fixture), &'a str);
    let cases: [Case<'_>; 6] = [
        ("module", &|f| fs::write(f.wasm(), b"\0asm\x01\0\0\0").unwrap(), "wasm32-wasip2"),
        ("script", &|f| fs::write(f.wasm(), b"#!/bin/sh").unwrap(), "not WebAssembly"),
        ("nothing", &|f| fs::remove_file(f.wasm()).unwrap(), "build it first"),
        ("no manifest", &|f| fs::remove_file(f.source().join("component.toml")).unwrap(), "write one"),
        (
            "no name",
            &|f| fs::write(f.source().join("component.toml"), "version = \"1.0.0\"").unwrap(),
            "`name`",
        ),
        (
            "in the way",
            &|f| {
                fs::create_dir_all(f.out()).unwrap();
                fs::write(f.out().join("thesis.txt"), "precious").unwrap();
            },
            "not a bundle",
        ),
    ];
    for (name, spoil, says) in cases {
        let fixture = Fixture::new();
        spoil(&fixture);
        let said = fixture.build().unwrap_err().diagnostic().to_string();
        assert!(said.contains(says), "{name}: {said}");
        assert!(name != "in the way" || fixture.out().join("thesis.txt").exists());
    }
}

#[test]
fn a_copy_is_the_same_bundle_and_takes_nothing_along() {
    let fixture = Fixture::built();
    // As in a container, where the bundle is the root and other things lie beside it.
    fs::write(fixture.out().join("hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::write(fixture.out().join("blobs/sha256/other"), "x").unwrap();
    let to = fixture.dir.path().join("copied/ingestion");
    let copied = copy(&fixture.out(), &to).unwrap();
    let original = open(&fixture.out()).unwrap();
    assert_eq!((copied.digest, copied.wasm_digest), (original.digest, original.wasm_digest));
    assert!(copied.wasm.starts_with(&to));
    let mut names: Vec<_> = fs::read_dir(&to).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"]);
    assert!(!to.join("blobs/sha256/other").exists());
    // Once more over itself, as a container does that is started again.
    copy(&fixture.out(), &to).unwrap();
}

#[test]
fn a_damaged_bundle_is_not_copied_and_no_folder_of_somebody_else_is_written_to() {
    let fixture = Fixture::built();
    let other = fixture.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "mine").unwrap();
    assert!(matches!(copy(&fixture.out(), &other), Err(Error::Unfit { .. })));
    let wasm = open(&fixture.out()).unwrap().wasm;
    fs::write(wasm, "no longer").unwrap();
    let to = fixture.dir.path().join("copied");
    assert!(matches!(copy(&fixture.out(), &to), Err(Error::Damaged { .. })));
    assert!(!to.exists());
}
