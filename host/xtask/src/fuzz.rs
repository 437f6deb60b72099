//! `make fuzz`: builds the guests and the program that fuzzes, and becomes it. What is fuzzed, and
//! what counts as a finding, is that program's business.

use crate::place::Place;
use crate::ui::Step;
use crate::{cargo, run, words};
use anyhow::{Context as _, Result};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The program in the tests' crate. It is given the wanted targets, or none for all.
const PROGRAM: &str = "fuzz";

/// Fuzzes what `NAME` names, or everything, each for `TIME`.
pub fn run(place: &Place) -> Result<()> {
    run::build(place, true)?;
    let mut step = Step::begin(PROGRAM);
    let mut command = cargo::command(place, &place.target);
    // The whole workspace's features, so that nothing is built a second time with fewer.
    command.args(["build", "--release", "--workspace", "--bin", PROGRAM]);
    let built = cargo::build(&mut step, &mut command, &[])?;
    step.done(&built.summary());
    let program = built.artifacts.into_iter().find_map(|artifact| artifact.executable);
    let program = program.with_context(|| format!("cargo built no `{PROGRAM}`"))?;
    let mut command = Command::new(&program);
    command.current_dir(&place.root).args(words("NAME")).env("MONOPOD_BUNDLES", place.bundles());
    // Comes back only if it could not be started.
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}
