//! Packages of npm that a suite runs: installed once for each lock file into the cache, by
//! npm itself, so that a clone has no `node_modules` and a second run needs no network.

use crate::place::Place;
use crate::process;
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Up to some hundred and fifty packages; a registry that takes longer does not answer.
const LIMIT: Duration = Duration::from_secs(600);

/// The `node_modules` of the lock file in `folder`, installed if they are not there yet.
pub fn install(place: &Place, folder: &Path, step: &mut Step) -> Result<PathBuf> {
    let lock = folder.join("package-lock.json");
    let text = fs::read(&lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let home = place.tools().join(format!("npm-{:016x}", hasher.finish()));
    let modules = home.join("node_modules");
    if modules.is_dir() {
        return Ok(modules);
    }
    // Beside it and renamed, so that a run that was cut short leaves nothing that looks whole.
    let scratch = place.tools().join(format!("npm-{}.new", std::process::id()));
    fs::create_dir_all(&scratch)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(folder.join(file), scratch.join(file)).with_context(|| format!("{file} is missing"))?;
    }
    // Not `ci`, which refuses a lock file where a registry lacks packages for other platforms that
    // nobody here needs; `install` keeps to the locked versions and their digests as well.
    let mut command = Command::new("npm");
    command
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps"])
        .current_dir(&scratch);
    let answer = process::ask(&mut command, Some(LIMIT), &mut || step.tick("installing npm packages"))?;
    if !answer.ending.ok() {
        fs::remove_dir_all(&scratch)?;
        bail!("npm could not install the packages of {}:\n{}", lock.display(), answer.err.trim());
    }
    if fs::rename(&scratch, &home).is_err() {
        // Another run was quicker.
        fs::remove_dir_all(&scratch)?;
    }
    Ok(modules)
}
