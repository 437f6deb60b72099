//! Bundles: made by the host's own `monopod bundle`, one for each guest, and only where what
//! goes in has changed. What a bundle is, only the host knows.

use crate::guests::BuiltGuest;
use crate::place::Place;
use crate::process;
use crate::ui::{self, Step};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// Makes the bundles that are out of date. `host` is the program that makes them.
pub fn build(place: &Place, host: &Path, guests: &[BuiltGuest]) -> Result<()> {
    let mut step = Step::begin("bundles");
    let folder = place.bundles();
    // Beside the bundles, not in them: a bundle holds nothing but its content.
    let inputs_folder = folder.join(".inputs");
    std::fs::create_dir_all(&inputs_folder)
        .with_context(|| format!("cannot make {}", inputs_folder.display()))?;
    let (mut built, mut bytes) = (0, 0);
    for built_guest in guests {
        let BuiltGuest { guest, wasm } = built_guest;
        step.tick(&format!("{} {}", ui::bar(built, guests.len()), guest.name));
        let bundle = folder.join(&guest.name);
        let memory = inputs_folder.join(&guest.name);
        let now = fingerprint(&inputs(host, built_guest)?)?;
        if !bundle.is_dir() || std::fs::read_to_string(&memory).ok().as_deref() != Some(now.as_str()) {
            make(host, &guest.folder, wasm, &bundle)?;
            std::fs::write(&memory, now).with_context(|| format!("cannot write {}", memory.display()))?;
            built += 1;
        }
        bytes += size(&bundle)?;
    }
    let what = if built == 0 { "up to date".to_owned() } else { format!("{built} built") };
    step.done(&format!("{what}, {}", ui::size(bytes)));
    Ok(())
}

fn make(host: &Path, component: &Path, wasm: &Path, bundle: &Path) -> Result<()> {
    let mut command = Command::new(host);
    command.arg("bundle").arg(component).arg("--wasm").arg(wasm).arg("--out").arg(bundle);
    let answer = process::ask(&mut command, None, &mut || {})?;
    if !answer.ending.ok() {
        bail!("monopod bundle {}: {}{}", component.display(), answer.out, answer.err.trim());
    }
    Ok(())
}

/// The files that a bundle depends on: its code, what lies beside it, and the program that
/// makes it.
fn inputs(host: &Path, built: &BuiltGuest) -> Result<Vec<PathBuf>> {
    let folder = &built.guest.folder;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .with_context(|| format!("cannot read {}", folder.display()))?;
    files.retain(|path| path.is_file());
    files.sort();
    files.push(built.wasm.clone());
    files.push(host.to_path_buf());
    Ok(files)
}

/// Names, sizes and times: what tells a changed file from an unchanged one without reading it.
fn fingerprint(files: &[PathBuf]) -> Result<String> {
    let mut text = String::new();
    for file in files {
        let meta = file.metadata().with_context(|| format!("cannot read {}", file.display()))?;
        let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", file.display(), meta.len(), changed.as_nanos());
    }
    Ok(text)
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_changes_with_the_content_and_a_missing_file_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-bundles-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("component.toml");
        std::fs::write(&file, "one").unwrap();
        let files = [file.clone()];
        let first = fingerprint(&files).unwrap();
        assert_eq!(fingerprint(&files).unwrap(), first);
        std::fs::write(&file, "three").unwrap();
        assert_ne!(fingerprint(&files).unwrap(), first);
        assert_eq!(size(&folder).unwrap(), 5);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(format!("{:#}", fingerprint(&files).unwrap_err()).contains("component.toml"));
    }
}
