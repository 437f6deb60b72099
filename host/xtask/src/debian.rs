//! Programs that come from Debian's packages. As root they are installed by the step that
//! needs them; anybody else is told the one command to run.

use crate::process;
use crate::ui::Step;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Whether this process may install packages.
pub fn is_root() -> bool {
    // The owner of one's own entry in /proc is the effective user; no libc needed for it.
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Whether packages can be had in Debian's way at all.
pub fn has_apt() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

/// The one command that brings `packages`.
pub fn command_line(packages: &[&str]) -> String {
    format!("sudo apt-get install -y {}", packages.join(" "))
}

/// Installs `packages`; the lists are renewed only if the first try says that they are old.
pub fn install(step: &mut Step, packages: &[&str]) -> Result<()> {
    let text = format!("installing {} (apt-get)", packages.join(" "));
    let first = apt(step, &text, &[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    if first.is_none() {
        return Ok(());
    }
    if let Some(said) = apt(step, "renewing Debian's package lists (apt-get update)", &["update"])? {
        bail!("apt-get update failed: {said}");
    }
    match apt(step, &text, &[&["install", "-y", "--no-install-recommends"], packages].concat())? {
        None => Ok(()),
        Some(said) => bail!("apt-get could not install {}: {said}", packages.join(" ")),
    }
}

/// Runs apt-get; what it complained about, if it failed.
fn apt(step: &mut Step, text: &str, arguments: &[&str]) -> Result<Option<String>> {
    step.tick(text);
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let answer = process::ask(&mut command, None, &mut || step.tick(text))?;
    Ok((!answer.ending.ok()).then(|| answer.err.trim().to_owned()))
}

/// Whether a program of this name is on the search path.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
