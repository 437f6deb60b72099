//! `make bench`: builds what people run, and hands over to the program that measures.
//! What is measured, against what, and how it is printed is that program's business.

use crate::cluster::Ground;
use crate::place::Place;
use crate::suites::CRATE;
use crate::ui::Step;
use crate::{Told, cargo, cluster, foreign, json, run, wasmtime, words};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// The program in the tests' crate that measures. It is given the wanted names, or none for
/// all, and appends its figures to `target/bench.jsonl`.
const PROGRAM: &str = "bench";
/// The figures that need a cluster. Only by name: the others would share their cores with it.
const CLUSTERED: &str = "pod";
/// The figures that have `wasmtime serve` beside them.
const SERVED: &str = "engine";
/// The figures that have another GraphQL server beside them, and its workspace.
const RIVALLED: &str = "graphql";
const RIVAL: &str = "tests/bench/rival";

/// Measures what `NAME` names, or everything.
pub fn run(place: &Place) -> Result<()> {
    if !exists(&cargo::metadata(place, &place.root, false)?) {
        bail!("nothing can be measured yet: {CRATE} has no program `{PROGRAM}`");
    }
    let host = run::build(place, true)?;
    let mut step = Step::begin("bench");
    let mut command = cargo::command(place, &place.target);
    // The whole workspace's features, so that nothing is built a second time with fewer.
    command.args(["build", "--release", "--workspace", "--bin", PROGRAM]);
    let built = cargo::build(&mut step, &mut command, &[])?;
    step.done(&built.summary());
    let program = built.artifacts.into_iter().find_map(|artifact| artifact.executable);
    let program = program.with_context(|| format!("cargo built no `{PROGRAM}`"))?;
    // In a cluster of its own, which needs to be ended afterwards.
    let wanted = words("NAME");
    let ground = if wanted.iter().any(|name| name == CLUSTERED) {
        let mut step = Step::begin("cluster");
        let ground = Ground::whole(place, &host, false, &mut step)?;
        step.done("ready");
        Some(ground)
    } else {
        None
    };
    let mut command = Command::new(&program);
    command
        .current_dir(&place.root)
        .args(&wanted)
        .env("MONOPOD_BIN", host)
        .env("MONOPOD_BUNDLES", place.bundles())
        .env("MONOPOD_SAMPLES", place.samples());
    if wanted.is_empty() || wanted.iter().any(|name| name == SERVED) {
        let mut step = Step::begin("peer");
        let serve = wasmtime::ready(place, &mut step)?;
        step.done(&serve.display().to_string());
        command.env("WASMTIME", serve);
        let mut step = Step::begin("foreign");
        command.env("MONOPOD_FOREIGN", foreign::rust(place, &mut step)?);
        step.done("components of WASI 0.3");
        // Without it one figure is missing, which says why.
        let mut step = Step::begin("vegeta");
        match cluster::vegeta(place, &mut step) {
            Ok(vegeta) => {
                step.done(&vegeta.display().to_string());
                command.env("VEGETA", vegeta);
            }
            Err(error) => step.done(&format!("not there: {error:#}")),
        }
    }
    if wanted.is_empty() || wanted.iter().any(|name| name == RIVALLED) {
        command.env("RIVAL", rival(place)?);
    }
    if let Some(ground) = ground {
        ground.tell(place, &mut command);
        let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
        drop(ground);
        return if status.success() { Ok(()) } else { Err(Told.into()) };
    }
    // Comes back only if it could not be started.
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// Builds the other GraphQL server, beside everything else: its features are not the host's.
fn rival(place: &Place) -> Result<PathBuf> {
    let mut step = Step::begin("rival");
    let mut command = cargo::command(place, &place.target.join("rival"));
    command.current_dir(place.root.join(RIVAL)).args(["build", "--release", "--locked"]);
    let built = cargo::build(&mut step, &mut command, &[])?;
    step.done(&built.summary());
    built.artifacts.into_iter().find_map(|artifact| artifact.executable).context("cargo built no `rival`")
}

fn exists(metadata: &Value) -> bool {
    json::list(metadata, "/packages")
        .filter(|package| json::text(package, "/name") == Some(CRATE))
        .flat_map(|package| json::list(package, "/targets"))
        .any(|target| json::text(target, "/name") == Some(PROGRAM) && json::has(target, "/kind", "bin"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_are_figures_once_the_tests_have_a_bench_program() {
        let metadata = |kind: &str| json!({"packages": [{"name": CRATE, "targets": [{"name": PROGRAM, "kind": [kind]}]}]});
        assert!(exists(&metadata("bin")));
        assert!(!exists(&metadata("test")));
        assert!(!exists(&json!({"packages": []})));
    }
}
