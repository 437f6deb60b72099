//! The guests: found by their `component.toml`, built all at once by the chosen compiler.

use crate::cargo;
use crate::place::Place;
use crate::toolchain::Toolchain;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// A component and, once it is built, its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Name of the folder, which is also the name of the bundle.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// A guest with the component that the compiler made of it.
pub struct BuiltGuest {
    /// Which one.
    pub guest: Guest,
    /// The component, in the target folder.
    pub wasm: PathBuf,
}

/// The components of the product, and with `probes` also those that only tests load.
pub fn all(place: &Place, probes: bool) -> Result<Vec<Guest>> {
    let mut guests = find(&place.components())?;
    if probes {
        guests.extend(find(&place.root.join("tests/guests"))?);
    }
    Ok(guests)
}

/// The folders below `parent` that have a `component.toml`, by name. Crates without one are
/// libraries that the components share.
fn find(parent: &Path) -> Result<Vec<Guest>> {
    let entries = std::fs::read_dir(parent)
        .with_context(|| format!("cannot read {}", parent.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut guests: Vec<Guest> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("component.toml").is_file())
        .filter_map(|folder| Some(Guest { name: folder.file_name()?.to_str()?.to_owned(), folder }))
        .collect();
    if guests.is_empty() {
        bail!("{} has no folder with a component.toml", parent.display());
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// Builds them in one cargo run, and finds each one's component. The second answer is whether
/// there was nothing to do.
pub fn build(
    place: &Place,
    toolchain: &Toolchain,
    guests: Vec<Guest>,
    step: &mut Step,
) -> Result<(Vec<BuiltGuest>, bool)> {
    let mut command = cargo::command(place, &place.guests(&toolchain.key()));
    // Release, because the photo of a `make run` is decoded inside one of them.
    command.current_dir(place.components()).args(["build", "--release", "--lib"]);
    for guest in &guests {
        command.args(["--package", &guest.name]);
    }
    toolchain.apply(&mut command);
    let built = cargo::build(step, &mut command, &[])?;
    let fresh = built.fresh();
    // A package makes more than its component: a build script, a library.
    let code = |guest: &Guest| {
        let mut mine = built.artifacts.iter().filter(|artifact| artifact.package == guest.folder);
        mine.find_map(|artifact| {
            artifact.files.iter().find(|file| file.extension().is_some_and(|end| end == "wasm"))
        })
    };
    let mut found = Vec::new();
    for guest in guests {
        let wasm = code(&guest).cloned().with_context(|| {
            format!("{} makes no component: its Cargo.toml needs crate-type = [\"cdylib\"]", guest.name)
        })?;
        found.push(BuiltGuest { guest, wasm });
    }
    Ok((found, fresh))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_a_folder_with_a_component_toml() {
        let root = std::env::temp_dir().join(format!("xtask-guests-{}", std::process::id()));
        for folder in ["web", "ingestion", "contracts"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let empty = find(&root).unwrap_err().to_string();
        assert!(empty.contains("component.toml"), "{empty}");
        std::fs::write(root.join("web/component.toml"), "").unwrap();
        std::fs::write(root.join("ingestion/component.toml"), "").unwrap();
        std::fs::write(root.join("trackunit.toml"), "").unwrap();
        let names: Vec<_> = find(&root).unwrap().into_iter().map(|guest| guest.name).collect();
        assert_eq!(names, ["ingestion", "web"]);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
