//! `make check`: everything that can be said about the tree without running it. All parts are
//! tried, so that one run shows every mistake.

use crate::place::Place;
use crate::ui::{self, Step};
use crate::{Told, arrows, audit, cargo, process, test, text, words};
use anyhow::{Result, bail};
use std::path::Path;

/// A part: its name, and what it does. It answers what it found in order.
type Part = (&'static str, fn(&Place, &mut Step) -> Result<String>);

/// Quick ones first: a wrong arrow should not wait for a compiler.
const PARTS: [Part; 8] = [
    ("format", format),
    ("text", text),
    ("lock", lock),
    ("arrows", arrows),
    ("lints", lints),
    ("guests", guest_lints),
    ("licences", audit::licences),
    ("advisories", audit::advisories),
];

/// Lines of a failure that are shown; the rest of a long diff helps nobody.
const SHOWN: usize = 60;

/// Runs the parts that `PART` names, or all.
pub fn run(place: &Place) -> Result<()> {
    let wanted = words("PART");
    let names = PARTS.map(|(name, _)| name);
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no part `{unknown}`. There are: {}", names.join(" "));
    }
    let mut failed = Vec::new();
    for (name, part) in
        PARTS.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name))
    {
        let mut step = Step::begin(name);
        match part(place, &mut step) {
            Ok(text) => step.done(&format!("{} {text}", ui::tick_mark())),
            Err(error) => {
                step.failed("failed");
                ui::block(&shortened(&format!("{error:#}")));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        ui::line("check", "all in order");
        return Ok(());
    }
    ui::line("check", &format!("failed: {}", failed.join(" ")));
    Err(Told.into())
}

fn shortened(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    match lines.len().checked_sub(SHOWN) {
        None | Some(0) => text.to_owned(),
        Some(more) => {
            let shown: Vec<_> = lines.into_iter().take(SHOWN).collect();
            format!("{}\n... and {more} lines more", shown.join("\n"))
        }
    }
}

fn format(place: &Place, step: &mut Step) -> Result<String> {
    let mut differences = String::new();
    for folder in [place.root.clone(), place.components()] {
        let mut command = cargo::command(place, &place.target);
        command.current_dir(&folder).args(["fmt", "--all", "--check", "--", "--color"]);
        command.arg(if ui::colours() { "always" } else { "never" });
        let answer = process::ask(&mut command, None, &mut || step.tick("cargo fmt"))?;
        if !answer.ending.ok() {
            differences.push_str(&answer.out);
            differences.push_str(&answer.err);
        }
    }
    if differences.is_empty() {
        Ok("host and guests".into())
    } else {
        bail!("{}\nfix: cargo fmt --all, here and in components/", shortened(&differences))
    }
}

fn text(place: &Place, _: &mut Step) -> Result<String> {
    let (count, found) = text::check(place)?;
    if found.is_empty() { Ok(format!("{count} files")) } else { bail!(found.join("\n")) }
}

/// Before anything that would bring the lock files up to date by itself.
fn lock(place: &Place, step: &mut Step) -> Result<String> {
    for folder in [place.root.clone(), place.components()] {
        let mut command = cargo::command(place, &place.target);
        command.current_dir(&folder).args(["metadata", "--format-version=1", "--locked"]);
        let answer = process::ask(&mut command, None, &mut || step.tick("cargo metadata --locked"))?;
        if !answer.ending.ok() {
            bail!(
                "{}: {}\nfix: cargo check there, and commit Cargo.lock",
                folder.display(),
                answer.err.trim()
            );
        }
    }
    Ok("Cargo.lock of host and guests".into())
}

fn arrows(place: &Place, _: &mut Step) -> Result<String> {
    let found = arrows::check(place)?;
    if found.is_empty() { Ok("as the architecture has them".into()) } else { bail!(found.join("\n")) }
}

fn lints(place: &Place, step: &mut Step) -> Result<String> {
    let mut command = cargo::command(place, &place.target);
    // In the release profile, because build scripts and macros are shared with the build.
    command.args(["clippy", "--release", "--workspace", "--all-targets"]);
    clippy(step, &mut command, &place.root)
}

fn guest_lints(place: &Place, step: &mut Step) -> Result<String> {
    let mut command = test::native(place, "clippy", &["--workspace", "--all-targets"]);
    clippy(step, &mut command, &place.components())
}

fn clippy(step: &mut Step, command: &mut std::process::Command, folder: &Path) -> Result<String> {
    command.current_dir(folder);
    cargo::build(step, command, &["--", "-D", "warnings"])?;
    Ok("clippy without a warning".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_failure_is_cut_and_says_so() {
        let text = "line\n".repeat(SHOWN + 5);
        let shown = shortened(&text);
        assert_eq!(shown.lines().count(), SHOWN + 1);
        assert!(shown.ends_with("... and 5 lines more"));
        assert_eq!(shortened("one\ntwo"), "one\ntwo");
    }
}
