//! Cargo, watched: its progress for a bar, its messages for the files it made, its complaints
//! for the user. What is to be built is the caller's business.

use crate::json;
use crate::place::Place;
use crate::process::{self, Event};
use crate::ui::{self, Step};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo made, or found made already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The folder of the package.
    pub package: PathBuf,
    /// Name of the library, binary or test.
    pub name: String,
    /// Whether it is a test harness.
    pub test: bool,
    /// Whether it is so by nature: a test target, not a library or program built for its tests.
    pub test_target: bool,
    /// Whether it was up to date.
    pub fresh: bool,
    /// All files.
    pub files: Vec<PathBuf>,
    /// The program, if it is one.
    pub executable: Option<PathBuf>,
}

/// The end of a build that went well.
pub struct Built {
    /// Everything that belongs to it, dependencies included.
    pub artifacts: Vec<Artifact>,
    /// How many units there were, as cargo counts.
    pub units: usize,
}

impl Built {
    /// Whether there was nothing to do.
    pub fn fresh(&self) -> bool {
        self.artifacts.iter().all(|artifact| artifact.fresh)
    }

    /// For a step's last word: a full bar, or that nothing was to be done.
    pub fn summary(&self) -> String {
        if self.fresh() { "up to date".into() } else { ui::bar(self.units, self.units) }
    }
}

/// The cargo that runs this program, with its target folder set and without what `cargo run`
/// put into the environment: a build script that sees other variables than at the last build
/// would run again, and its crate with it.
pub fn command(place: &Place, target: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    claim(place, target);
    command.current_dir(&place.root).env("CARGO_TARGET_DIR", target);
    command
}

/// The file in a target folder that names the checkout whose sources were built there last.
const OWNER: &str = "checkout";

/// Checkouts share their target folders, for the sake of what they depend on. Cargo tells
/// their own crates apart by the times of the sources alone, and would hand one checkout what
/// another has built later; so a checkout that finds another's name there makes its sources new.
fn claim(place: &Place, target: &Path) {
    let (owner, root) = (target.join(OWNER), place.root.display().to_string());
    if std::fs::read_to_string(&owner).is_ok_and(|found| found == root) {
        return;
    }
    // Where it fails, the build that follows says why: the folder cannot be written.
    let _ = std::fs::create_dir_all(target).and_then(|()| std::fs::write(&owner, root));
    for folder in ["host", "components", "tests", "wit"] {
        touch(&place.root.join(folder));
    }
}

fn touch(path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else {
        // A file; one that cannot be touched can hardly have been changed either.
        let file = std::fs::File::options().append(true).open(path);
        let _ = file.and_then(|file| file.set_modified(std::time::SystemTime::now()));
        return;
    };
    for entry in entries.flatten() {
        touch(&entry.path());
    }
}

/// Runs a `cargo build` or one like it and shows how far it is in `step`; `rest` are the
/// arguments that have to come last. Fails with what the compiler said.
pub fn build(step: &mut Step, command: &mut Command, rest: &[&str]) -> Result<Built> {
    command
        .arg("--message-format=json-render-diagnostics")
        .args(rest)
        // Cargo draws its bar only on a terminal unless told otherwise; the width keeps the
        // numbers in it.
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100")
        .env("CARGO_TERM_COLOR", if ui::colours() { "always" } else { "never" });
    let mut artifacts = Vec::new();
    let mut said = String::new();
    let mut text = String::from("building");
    let mut units = 0;
    let ending = process::watch(command, None, &mut |event| {
        match event {
            Event::Out(line) => artifacts.extend(artifact(line)),
            Event::Err(line) => match heard(line) {
                Heard::Units(done, total) => {
                    units = total;
                    text = format!("building {}", ui::bar(done, total));
                }
                Heard::Progress(what) => text = what,
                Heard::Nothing => {}
                Heard::Said => {
                    said.push_str(line);
                    said.push('\n');
                }
            },
            Event::Tick => {}
        }
        step.tick(&text);
    })?;
    if !ending.ok() {
        bail!("the build failed\n{}", said.trim_end());
    }
    Ok(Built { artifacts, units })
}

enum Heard {
    /// So many of so many units are done.
    Units(usize, usize),
    /// Something goes on that is worth showing while it lasts.
    Progress(String),
    /// Nothing that the bar does not say better.
    Nothing,
    /// For the user, if it ends badly.
    Said,
}

/// Takes cargo's progress out of what it says on standard error.
fn heard(line: &str) -> Heard {
    let plain = without_colour(line);
    let words = plain.trim_start();
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    // Verbs stand right-aligned in twelve columns; compiler messages do not.
    let is_status = plain.starts_with("  ") && plain.find(verb).is_some_and(|at| at + verb.len() == 12);
    match verb {
        "Building" => match units(rest) {
            Some((done, total)) => Heard::Units(done, total),
            None => Heard::Nothing,
        },
        "Blocking" => Heard::Progress("waiting for another cargo".into()),
        "Updating" | "Downloading" | "Downloaded" | "Locking" | "Adding" if is_status => {
            Heard::Progress("downloading".into())
        }
        "Compiling" | "Checking" | "Fresh" | "Finished" | "Executable" | "Dirty" if is_status => {
            Heard::Nothing
        }
        _ => Heard::Said,
    }
}

/// `[====>    ] 12/412: serde, ...` -> (12, 412).
fn units(bar: &str) -> Option<(usize, usize)> {
    let counts = bar.split_once(']')?.1.trim_start();
    let counts = counts.split([':', ' ']).next()?;
    let (done, total) = counts.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once(|end: char| end.is_ascii_alphabetic()).map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}

/// One line of cargo's JSON messages, if it tells of a file that was made.
fn artifact(line: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(line).ok()?;
    if json::text(&message, "/reason") != Some("compiler-artifact") {
        return None;
    }
    Some(Artifact {
        package: Path::new(json::text(&message, "/manifest_path")?).parent()?.to_path_buf(),
        name: json::text(&message, "/target/name")?.to_owned(),
        test: json::at(&message, "/profile/test") == &Value::Bool(true),
        test_target: json::has(&message, "/target/kind", "test"),
        fresh: json::at(&message, "/fresh") == &Value::Bool(true),
        files: json::texts(&message, "/filenames").map(PathBuf::from).collect(),
        executable: json::text(&message, "/executable").map(PathBuf::from),
    })
}

/// `cargo metadata` of the workspace in `folder`. With `deps`, the packages of others too.
pub fn metadata(place: &Place, folder: &Path, deps: bool) -> Result<Value> {
    let mut command = command(place, &place.target);
    command.current_dir(folder).args(["metadata", "--format-version=1"]);
    if !deps {
        command.arg("--no-deps");
    }
    let answer = process::ask(&mut command, None, &mut || {})?;
    if !answer.ending.ok() {
        bail!("cargo metadata in {}: {}", folder.display(), answer.err.trim());
    }
    serde_json::from_str(&answer.out).context("cargo metadata wrote something else than JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_that_comes_after_another_makes_its_sources_new_and_then_leaves_them() {
        let folder = std::env::temp_dir().join(format!("xtask-claim-{}", std::process::id()));
        let (root, target) = (folder.join("root"), folder.join("target"));
        let source = root.join("host/core/src/lib.rs");
        std::fs::create_dir_all(source.parent().unwrap()).unwrap();
        std::fs::write(&source, "content").unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let age = || std::fs::File::options().append(true).open(&source).unwrap().set_modified(old).unwrap();
        let is_old = || source.metadata().unwrap().modified().unwrap() == old;
        let place = Place { root, ..Place::find().unwrap() };
        age();
        claim(&place, &target);
        assert!(!is_old(), "another checkout's build would pass for this one's");
        age();
        claim(&place, &target);
        assert!(is_old(), "everything would be built anew every time");
        std::fs::write(target.join(OWNER), "another").unwrap();
        claim(&place, &target);
        assert!(!is_old());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_bar_of_cargo_is_read_and_compiler_messages_are_kept() {
        let kind = |line: &str| match heard(line) {
            Heard::Units(done, total) => format!("{done} of {total}"),
            Heard::Progress(text) => text,
            Heard::Nothing => "nothing".into(),
            Heard::Said => "said".into(),
        };
        for (line, expected) in [
            ("    Building [=====>                 ] 12/412: serde, syn(build.rs)...", "12 of 412"),
            ("    Building [=======================] 412/412", "412 of 412"),
            ("\x1b[1m\x1b[96m    Building\x1b[0m [==>  ] 3/9: tokio", "3 of 9"),
            ("    Building [=====>                 ]", "nothing"),
            ("   Compiling serde v1.0.228", "nothing"),
            ("    Blocking waiting for file lock on build directory", "waiting for another cargo"),
            ("    Updating crates.io index", "downloading"),
            ("error[E0425]: cannot find value `x` in this scope", "said"),
            ("  Compiling is a word in somebody's message", "said"),
            ("warning: unused variable", "said"),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
    }

    #[test]
    fn artifacts_carry_their_files_and_other_messages_are_passed_over() {
        let line = r#"{"reason":"compiler-artifact","package_id":"x","manifest_path":"/c/web/Cargo.toml",
            "target":{"kind":["cdylib","rlib"],"name":"web"},"profile":{"test":false},
            "filenames":["/t/web.wasm"],"executable":null,"fresh":true}"#;
        let found = artifact(line).unwrap();
        assert_eq!(found.package, Path::new("/c/web"));
        assert_eq!(found.files, [PathBuf::from("/t/web.wasm")]);
        assert!(found.fresh && !found.test && found.executable.is_none());
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("not JSON"), None);
    }
}
