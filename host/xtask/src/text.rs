//! Rules about the text of the tree: nothing left to be done later, no file that is long
//! without a reason, nothing that speaks of the machine it was written on.

use crate::place::Place;
use crate::process;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// Lines above which a source file says in its module documentation why it is so long.
const LONG: usize = 800;
/// How it says so.
const REASON: &str = "800 lines";
/// Notes to oneself. Written in two halves, since this file is checked as well.
const LATER: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Home folders: an absolute path below one of them exists on one machine only.
const HOMES: [&str; 3] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
/// What points a package manager at an address that another machine may not reach.
const ADDRESSES: [&str; 5] = [
    concat!("\"resolved\": \"", "http"),
    concat!("index-url", " ="),
    concat!("GOPROXY=", "http"),
    concat!("registry=", "http"),
    concat!("replace-with", " ="),
];
/// Not ours, or not written by hand.
const FOREIGN: [&str; 4] = ["wit/deps/", "Cargo.lock", "components/Cargo.lock", "LICENSE"];

/// Checks all files that git knows or would take up; how many there were, and what is wrong.
pub fn check(place: &Place) -> Result<(usize, Vec<String>)> {
    let mut git = Command::new("git");
    git.current_dir(&place.root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = process::ask(&mut git, None, &mut || {})?;
    if !listed.ending.ok() {
        bail!("git ls-files: {}", listed.err.trim());
    }
    let checkout = place.root.to_string_lossy().into_owned();
    let (mut count, mut found) = (0, Vec::new());
    for file in listed.out.lines().filter(|file| !FOREIGN.iter().any(|foreign| file.starts_with(foreign))) {
        let path = place.root.join(file);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            // Deleted, but not yet for git; or a link to a folder.
            Err(_) if !path.is_file() => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {file}")),
        };
        // Photos and the like have no text to be checked.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        count += 1;
        found.extend(file_rules(file, &text, &checkout));
    }
    Ok((count, found))
}

fn file_rules(file: &str, text: &str, checkout: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut wrong = |why: String| found.push(format!("{file}:{}: {why}", number + 1));
        if let Some(word) = LATER.iter().find(|word| has_word(line, word)) {
            wrong(format!("{word}: do it, or open an issue"));
        }
        if HOMES.iter().any(|home| line.contains(home)) || has_path(line, checkout) {
            wrong("a path of one machine".into());
        }
        if let Some(address) = ADDRESSES.iter().find(|address| line.contains(*address)) {
            wrong(format!("the address of a registry (`{address}`): leave that to each machine"));
        }
    }
    let lines = text.lines().count();
    let is_rust = Path::new(file).extension().is_some_and(|end| end == "rs");
    let says_why = text.lines().any(|line| line.starts_with("//!") && line.contains(REASON));
    if is_rust && lines > LONG && !says_why {
        found.push(format!("{file}: {lines} lines; its //! must say why it is over {REASON}, or split it"));
    }
    found
}

/// Whether `word` stands in `line` by itself.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// Whether `path`, or something below it, stands in `line` as an absolute path.
fn has_path(line: &str, path: &str) -> bool {
    // A checkout right below the root has a name too common to be looked for.
    if path.matches('/').count() < 2 {
        return false;
    }
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + path.len()..).and_then(|text| text.chars().next());
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(file: &str, text: &str) -> Vec<String> {
        file_rules(file, text, "/srv/clone")
    }

    #[test]
    fn notes_to_oneself_are_found_with_their_line() {
        let text = format!("//! Module.\n// {}: later\n", LATER[0]);
        assert_eq!(rules("a.rs", &text), [format!("a.rs:2: {}: do it, or open an issue", LATER[0])]);
        assert!(rules("a.rs", &format!("let {}S = 1;", LATER[0])).is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found_and_others_pass() {
        for line in [format!("{}me/.cargo", HOMES[1]), "see /srv/clone/README".into(), "(/srv/clone)".into()]
        {
            assert_eq!(rules("a.md", &line).len(), 1, "{line}");
        }
        for line in ["/srv/clones", "/usr/srv/clone", "host/core/src", "/v1/uploads/start"] {
            assert!(rules("a.md", line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_lock_file_with_addresses_is_found() {
        let line = format!("      {}s://registry/x.tgz\"", ADDRESSES[0]);
        assert_eq!(rules("package-lock.json", &line).len(), 1);
    }

    #[test]
    fn a_long_source_file_has_to_say_why() {
        let body = "fn f() {}\n".repeat(LONG);
        assert_eq!(rules("a.rs", &format!("//! Module.\n{body}")).len(), 1);
        assert!(
            rules("a.rs", &format!("//! Over 800 lines, because a table is one thing.\n{body}")).is_empty()
        );
        assert!(rules("a.md", &format!("{body}\n")).is_empty());
        assert!(rules("a.rs", &body).is_empty());
    }
}
