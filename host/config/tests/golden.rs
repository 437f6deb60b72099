//! Files that are wrong, each beside the exact messages it must give. `UPDATE=1`
//! writes the messages down anew; the difference is then read by a person.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use monopod_config::{Manifest, check_needs, parse};
use monopod_core::diagnostic::Diagnostic;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Runs `messages` on every `.toml` of the folder and compares with the `.err` beside it.
fn check(name: &str, least: usize, messages: impl Fn(&Path, &str, &str) -> Vec<Diagnostic>) {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differ = Vec::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        cases += 1;
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = messages(&path, &file, &std::fs::read_to_string(&path).unwrap());
        assert!(!found.is_empty(), "{file} is accepted");
        let found: String = found.iter().map(|d| format!("{d}\n")).collect();
        let golden = path.with_extension("err");
        if update {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != found {
            differ.push(format!("--- {file}\n{found}"));
        }
    }
    assert!(cases >= least, "{cases} cases in {name}");
    assert!(differ.is_empty(), "not as written down (UPDATE=1 writes anew):\n{}", differ.join("\n"));
}

#[test]
fn every_mistake_in_a_platform_file_is_named_with_its_place_and_fix() {
    check("broken", 20, |_, file, text| parse(file, text).err().unwrap_or_default());
}

#[test]
fn every_mistake_in_a_manifest_is_named_with_its_place_and_fix() {
    check("broken-manifests", 5, |_, file, text| Manifest::parse(file, text).err().unwrap_or_default());
}

#[test]
fn a_need_that_is_not_granted_prints_the_line_that_grants_it() {
    check("needs", 3, |path, file, text| {
        let manifest = std::fs::read_to_string(path.with_extension("component")).unwrap();
        let manifest = Manifest::parse("component.toml", &manifest).unwrap();
        let plan = parse(file, text).unwrap();
        let manifests = BTreeMap::from([("ingestion".parse().unwrap(), manifest)]);
        check_needs(&plan, &manifests).err().unwrap_or_default()
    });
}
