//! The examples in the docs. Each crate's take seconds to prepare even where there are none,
//! so that only crates that have some are run.

use crate::json;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::path::Path;

/// The packages of a workspace (cargo's metadata) whose docs have an example that is compiled.
pub fn packages(metadata: &Value) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for package in json::list(metadata, "/packages") {
        let (Some(name), Some(manifest)) =
            (json::text(package, "/name"), json::text(package, "/manifest_path"))
        else {
            continue;
        };
        if json::list(package, "/targets").any(is_documented)
            && any(&Path::new(manifest).with_file_name("src"))?
        {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// Whether a target is one whose examples cargo runs: a library that does not decline.
fn is_documented(target: &Value) -> bool {
    json::at(target, "/doctest") == &Value::Bool(true)
}

fn any(folder: &Path) -> Result<bool> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let here = if path.is_dir() {
            any(&path)?
        } else {
            path.extension().is_some_and(|end| end == "rs") && has_example(&std::fs::read_to_string(&path)?)
        };
        if here {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the docs of a source file have a fence that opens Rust.
fn has_example(source: &str) -> bool {
    let docs = source.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
    });
    let mut open = false;
    for language in docs.filter_map(|line| line.trim_start().strip_prefix("```")) {
        if !open && is_rust(language) {
            return true;
        }
        open = !open;
    }
    false
}

/// Whether a fence's language makes it an example: nothing, or only what says how to compile.
fn is_rust(language: &str) -> bool {
    language.split([',', ' ']).filter(|word| !word.is_empty()).all(|word| {
        matches!(word, "rust" | "no_run" | "should_panic" | "compile_fail") || word.starts_with("edition")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fences_that_open_rust_are_examples() {
        for (source, expected) in [
            ("//! ```\n//! run();\n//! ```\n", true),
            ("    /// ```no_run\n    /// run();\n    /// ```\n", true),
            ("/// ```rust,should_panic\n", true),
            ("/// ```text\n/// a -> b\n/// ```\n", false),
            ("//! ```toml\n//! x = 1\n//! ```\n//! ```json\n//! 1\n//! ```\n", false),
            ("// ```\nlet x = 1;\n", false),
            ("", false),
        ] {
            assert_eq!(has_example(source), expected, "{source}");
        }
    }
}
