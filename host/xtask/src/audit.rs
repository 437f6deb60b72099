//! What is known of our dependencies: their licences, and advisories against them. The two
//! tools of the field do it; they are built once into the cache if the machine has neither.

use crate::cargo;
use crate::debian;
use crate::json;
use crate::place::Place;
use crate::process::{self, Answer};
use crate::ui::Step;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The lock files that are looked at.
const LOCKS: [&str; 2] = ["Cargo.lock", "components/Cargo.lock"];
/// A copy of the advisory database, for machines that cannot fetch it.
const COPY: &str = "../shared/advisory-db";
/// How long fetching the database may take: it is a git repository of some megabytes.
const FETCH_LIMIT: Duration = Duration::from_secs(180);

/// A tool: its name, and the versions whose output and settings are known here.
struct Tool {
    name: &'static str,
    versions: &'static str,
}

const DENY: Tool = Tool { name: "cargo-deny", versions: "^0.20" };
const AUDIT: Tool = Tool { name: "cargo-audit", versions: "^0.22" };

/// Licences, banned crates and sources, as `deny.toml` has them, for both workspaces.
pub fn licences(place: &Place, step: &mut Step) -> Result<String> {
    let tool = ready(place, &DENY, step)?;
    let config = place.root.join("deny.toml");
    let mut wrong = String::new();
    for lock in LOCKS {
        let manifest = place.root.join(lock).with_file_name("Cargo.toml");
        let mut command = cargo_tool(place, &tool);
        command.arg("--locked").arg("--manifest-path").arg(&manifest).arg("--config").arg(&config);
        command.args(["check", "licenses", "bans", "sources"]);
        let answer = process::ask(&mut command, None, &mut || step.tick(lock))?;
        if !answer.ending.ok() {
            wrong.push_str(&answer.err);
        }
    }
    if wrong.is_empty() { Ok("licences, bans and sources as in deny.toml".into()) } else { bail!(wrong) }
}

/// Advisories against what both lock files name. Says which database it took, and why.
pub fn advisories(place: &Place, step: &mut Step) -> Result<String> {
    let tool = ready(place, &AUDIT, step)?;
    let mut database = Database::Live;
    let mut totals = Findings::default();
    for lock in LOCKS {
        let findings = loop {
            let answer = ask(place, &tool, lock, &database, step)?;
            match (serde_json::from_str::<Value>(&answer.out), &database) {
                (Ok(report), _) => break findings(&report),
                (Err(_), Database::Live) => database = Database::Copy(copy(place, &answer)?),
                (Err(_), Database::Copy(path)) => {
                    bail!("cargo audit with {}: {}", path.display(), answer.err.trim())
                }
            }
        };
        totals.packages += findings.packages;
        totals.vulnerabilities.extend(findings.vulnerabilities);
        totals.warnings.extend(findings.warnings);
    }
    let source = match &database {
        Database::Live => "live database".to_owned(),
        Database::Copy(path) => format!("no network for the live database, taken from {}", path.display()),
    };
    if totals.vulnerabilities.is_empty() {
        let warnings = match totals.warnings.as_slice() {
            [] => String::new(),
            some => format!("; warnings: {}", some.join(", ")),
        };
        Ok(format!("none against {} packages ({source}){warnings}", totals.packages))
    } else {
        bail!("{} ({source})", totals.vulnerabilities.join("\n"))
    }
}

enum Database {
    Live,
    Copy(PathBuf),
}

fn ask(place: &Place, tool: &PathBuf, lock: &str, database: &Database, step: &mut Step) -> Result<Answer> {
    let mut command = cargo_tool(place, tool);
    command.args(["audit", "--json", "--file", lock]);
    if let Database::Copy(path) = database {
        command.arg("--db").arg(path).args(["--no-fetch", "--stale"]);
    }
    process::ask(&mut command, Some(FETCH_LIMIT), &mut || step.tick(lock))
}

/// The copy of the database, if there is one; otherwise why the live one could not be had.
fn copy(place: &Place, answer: &Answer) -> Result<PathBuf> {
    let path = match std::env::var_os("MONOPOD_ADVISORY_DB").filter(|path| !path.is_empty()) {
        Some(path) => place.root.join(path),
        None => place.root.join(COPY),
    };
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    let said = answer.err.lines().next().unwrap_or("no answer").trim();
    bail!(
        "cargo audit: {said}\nThere is no copy of the database in {} either; MONOPOD_ADVISORY_DB may name one",
        path.display()
    )
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    packages: u64,
    vulnerabilities: Vec<String>,
    warnings: Vec<String>,
}

/// Takes what people need out of cargo audit's JSON.
fn findings(report: &Value) -> Findings {
    let one = |entry: &Value| {
        let text = |path| json::text(entry, path).unwrap_or("?").to_owned();
        let id = text("/advisory/id");
        format!("{id} {} {}: {}", text("/package/name"), text("/package/version"), text("/advisory/title"))
    };
    let kinds = json::at(report, "/warnings").as_object().into_iter().flatten();
    let warnings = kinds.flat_map(|(kind, list)| {
        let packages = json::list(list, "").filter_map(|entry| json::text(entry, "/package/name"));
        packages.map(move |package| format!("{package} {kind}"))
    });
    Findings {
        packages: json::at(report, "/lockfile/dependency-count").as_u64().unwrap_or(0),
        vulnerabilities: json::list(report, "/vulnerabilities/list").map(one).collect(),
        warnings: warnings.collect(),
    }
}

/// A tool that is run as if by cargo, with the cargo of this task.
fn cargo_tool(place: &Place, tool: &PathBuf) -> Command {
    let mut command = Command::new(tool);
    command.current_dir(&place.root);
    command
}

/// Where the tool is; built into the cache if it is nowhere. Without optimisation: it runs for
/// two seconds then, and takes a third of the time to build.
fn ready(place: &Place, tool: &Tool, step: &mut Step) -> Result<PathBuf> {
    let cached = place.tools().join("bin").join(tool.name);
    if cached.is_file() {
        return Ok(cached);
    }
    if debian::on_path(tool.name) {
        return Ok(tool.name.into());
    }
    let scratch = place.tools().join("build");
    let mut command = cargo::command(place, &scratch);
    command
        .args([
            "install",
            "--locked",
            "--debug",
            "--no-default-features",
            "--version",
            tool.versions,
            "--root",
        ])
        .arg(place.tools())
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .arg(tool.name);
    cargo::build(step, &mut command, &[]).with_context(|| format!("cargo install {}", tool.name))?;
    // A gigabyte that nobody needs again.
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(cached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn vulnerabilities_are_told_from_warnings() {
        let report = json!({
            "lockfile": {"dependency-count": 432},
            "vulnerabilities": {"list": [{
                "advisory": {"id": "RUSTSEC-2026-0001", "title": "out of bounds"},
                "package": {"name": "some", "version": "1.2.3"},
            }]},
            "warnings": {"unmaintained": [{"package": {"name": "old"}}]},
        });
        assert_eq!(
            findings(&report),
            Findings {
                packages: 432,
                vulnerabilities: vec!["RUSTSEC-2026-0001 some 1.2.3: out of bounds".into()],
                warnings: vec!["old unmaintained".into()],
            }
        );
    }
}
