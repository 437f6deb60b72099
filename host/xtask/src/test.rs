//! `make test`: builds the test programs in one cargo run, starts each, and adds up what they
//! say. The last line is the sum, alone, because other programs read it.

use crate::cluster::Ground;
use crate::libtest::{Reader, Report};
use crate::place::Place;
use crate::process::{self, Ending, Event};
use crate::suites::{self, CRATE, UNIT};
use crate::ui::{self, Step};
use crate::{Told, cargo, debian, examples, foreign, json, npm, run, switch, words};
use anyhow::Result;
use serde_json::Value;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long one test program may take. CI has an hour for everything, so one that hangs must
/// not take it all; the long forms (`FULL=1`) have no limit.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// Last lines kept of a program that dies without a summary.
const LAST_LINES: usize = 60;

/// A test program, and where it runs.
struct Program {
    suite: String,
    name: String,
    path: PathBuf,
    package: PathBuf,
}

/// Runs the suites that `SUITE` names, or all.
pub fn run(place: &Place) -> Result<()> {
    let metadata = cargo::metadata(place, &place.root, false)?;
    let chosen = suites::choose(&suites::all(&metadata), &words("SUITE"))?;
    let host = if chosen.iter().any(|suite| suite != UNIT) { Some(run::build(place, true)?) } else { None };
    let programs = match build(place, &metadata, &chosen) {
        Ok(programs) => programs,
        Err(error) => {
            ui::block(&format!("{error:#}"));
            return close(&Report { failed: 1, ..Report::default() });
        }
    };
    let mut total = Report::default();
    for suite in &chosen {
        total.add(run_suite(place, suite, &programs, host.as_ref())?);
    }
    close(&total)
}

fn close(total: &Report) -> Result<()> {
    let (line, good) = verdict(total);
    ui::block(&line);
    if good { Ok(()) } else { Err(Told.into()) }
}

/// The closing line, and whether it is good news. A test that is there but does not run counts
/// as failed: it proves nothing, and looks as if it did. So does a run without any test.
fn verdict(total: &Report) -> (String, bool) {
    let failed = total.failed + total.ignored;
    (format!("{} passed, {failed} failed", total.passed), failed == 0 && total.passed > 0)
}

/// Builds the programs of the chosen suites. Always with the whole workspace selected, so that
/// every suite asks its dependencies for the same features, and nothing is built twice.
fn build(place: &Place, metadata: &Value, chosen: &[String]) -> Result<Vec<Program>> {
    let unit = chosen.iter().any(|suite| suite == UNIT);
    let mut step = Step::begin("tests");
    let mut command = cargo::command(place, &place.target);
    command.args(["test", "--release", "--workspace", "--no-run"]);
    if unit {
        command.args(["--lib", "--bins"]);
    }
    for target in targets(metadata, unit, chosen) {
        command.args(["--test", &target]);
    }
    let mut artifacts = cargo::build(&mut step, &mut command, &[])?.artifacts;
    if unit {
        artifacts.extend(
            cargo::build(&mut step, &mut native(place, "test", &["--workspace", "--no-run"]), &[])?.artifacts,
        );
    }
    let tests = place.root.join("tests");
    let programs: Vec<_> = artifacts
        .into_iter()
        .filter(|artifact| artifact.test)
        .filter_map(|artifact| {
            let is_suite = artifact.package == tests && artifact.test_target;
            let suite = if is_suite { artifact.name.clone() } else { UNIT.to_owned() };
            Some(Program {
                suite,
                name: artifact.name,
                path: artifact.executable?,
                package: artifact.package,
            })
        })
        .collect();
    step.done(&format!("{} programs", programs.len()));
    Ok(programs)
}

/// The test targets to build by name: the chosen suites, and for `unit` those of the rooms.
fn targets(metadata: &Value, unit: bool, chosen: &[String]) -> Vec<String> {
    let mut names: Vec<String> = chosen.iter().filter(|suite| *suite != UNIT).cloned().collect();
    let rooms =
        json::list(metadata, "/packages").filter(|package| json::text(package, "/name") != Some(CRATE));
    if unit {
        let targets = rooms.flat_map(|package| json::list(package, "/targets"));
        let tests = targets.filter(|target| json::has(target, "/kind", "test"));
        names.extend(tests.filter_map(|target| json::text(target, "/name")).map(str::to_owned));
    }
    names
}

/// A cargo command for the guests as programs of this machine: quick tests and lints, without
/// a sandbox. Link-time optimisation would only make them wait.
pub fn native(place: &Place, verb: &str, selection: &[&str]) -> Command {
    let mut command = cargo::command(place, &place.guests("native"));
    command
        .current_dir(place.components())
        .args([verb, "--release"])
        .args(selection)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command
}

fn run_suite(place: &Place, suite: &str, programs: &[Program], host: Option<&PathBuf>) -> Result<Report> {
    let mut step = Step::begin(suite);
    let brought = bring(place, suite, &mut step).and_then(|modules| {
        let ground = Ground::of(suite, place, host.map(PathBuf::as_path), &mut step)?;
        let foreign = suites::foreign(suite).then(|| foreign::build(place, &mut step)).transpose()?;
        Ok((modules, ground, foreign))
    });
    let (modules, ground, foreign) = match brought {
        Ok(brought) => brought,
        Err(why) => {
            // Where everything is meant to be had, its absence is a failure; elsewhere a remark.
            let failed = usize::from(switch("CI"));
            step.failed(&format!("not run: {why:#}"));
            return Ok(Report { failed, ..Report::default() });
        }
    };
    let mut total = Report::default();
    for program in programs.iter().filter(|program| program.suite == suite) {
        let mut command = Command::new(&program.path);
        command
            // Printed even by tests that pass: it is where their notes come from.
            .arg("--show-output")
            .current_dir(&program.package)
            .env("CARGO_MANIFEST_DIR", &program.package)
            .env("CARGO", std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .env("MONOPOD_BUNDLES", place.bundles())
            .env("MONOPOD_SAMPLES", place.samples());
        if let Some(host) = host {
            command.env("MONOPOD_BIN", host);
        }
        if let Some(modules) = &modules {
            command.env("MONOPOD_NPM", modules);
        }
        if let Some(foreign) = &foreign {
            command.env("MONOPOD_FOREIGN", foreign);
        }
        ground.tell(place, &mut command);
        total.add(run_program(&program.name, &mut command, &mut step, &total)?);
    }
    if suite == UNIT {
        for mut command in examples(place)? {
            total.add(run_program("examples in the docs", &mut command, &mut step, &total)?);
        }
    }
    conclude(step, &total);
    Ok(total)
}

/// The cargo commands that run the examples in the docs of host and guests.
fn examples(place: &Place) -> Result<Vec<Command>> {
    let mut host = cargo::command(place, &place.target);
    host.args(["test", "--release"]);
    let mut commands = Vec::new();
    for (mut command, folder) in
        [(host, place.root.clone()), (native(place, "test", &[]), place.components())]
    {
        let packages = examples::packages(&cargo::metadata(place, &folder, false)?)?;
        if packages.is_empty() {
            continue;
        }
        command.arg("--doc");
        for package in packages {
            command.args(["--package", &package]);
        }
        command.args(["--", "--show-output"]);
        commands.push(command);
    }
    Ok(commands)
}

/// Brings what the suite needs; its `node_modules`, if it has any.
fn bring(place: &Place, suite: &str, step: &mut Step) -> Result<Option<PathBuf>> {
    for need in suites::needs(suite) {
        if debian::on_path(need.program) {
            continue;
        }
        if !debian::is_root() || !debian::has_apt() {
            let fix = debian::command_line(&[need.package]);
            anyhow::bail!("it needs {}, which is missing. Run: {fix}", need.program);
        }
        debian::install(step, &[need.package])?;
    }
    let packages = suites::packages(suite);
    packages.map(|folder| npm::install(place, &place.root.join(folder), step)).transpose()
}

fn run_program(name: &str, command: &mut Command, step: &mut Step, before: &Report) -> Result<Report> {
    let limit = if switch("FULL") { None } else { Some(LIMIT) };
    let mut reader = Reader::default();
    let mut last = VecDeque::new();
    let ending = process::watch(command, limit, &mut |event| {
        if let Event::Out(line) | Event::Err(line) = event {
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line.to_owned());
        }
        if let Event::Out(line) = event {
            reader.line(line);
        }
        let what = reader.slow.as_deref().unwrap_or(name);
        step.tick(&format!("{} done  {what}", before.seen + reader.report.seen));
    })?;
    let mut report = reader.report;
    if let Some(why) = unexplained(&ending, &report) {
        if !report.finished {
            // No summary: what was seen is all there is.
            report.passed = report.seen.saturating_sub(report.names.len());
            report.failed = report.names.len();
        }
        report.failed += 1;
        report.names.push(name.to_owned());
        let last = Vec::from(last).join("\n");
        report.failures = format!("{}{name}: {why}. Its last lines:\n{last}\n", report.failures);
    }
    Ok(report)
}

/// A bad end that no failed test explains.
fn unexplained(ending: &Ending, report: &Report) -> Option<String> {
    if !report.finished {
        Some(format!("no summary after {} tests, {ending}", report.seen))
    } else if !ending.ok() && report.failed == 0 {
        Some(format!("all tests passed, but the program failed: {ending}"))
    } else {
        None
    }
}

fn conclude(step: Step, total: &Report) {
    let text = format!("{:>4} passed  {:>3} failed", total.passed, total.failed);
    if total.failed > 0 {
        step.failed(&text)
    } else {
        step.done(&text)
    }
    for note in &total.notes {
        ui::note(note);
    }
    if total.ignored > 0 {
        ui::note(&format!("{} ignored: a test that does not run counts as failed", total.ignored));
    }
    if total.failed > 0 {
        ui::block(&total.failures);
        for name in &total.names {
            ui::note(&format!("failed: {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(script: &str) -> (Ending, Report) {
        let mut reader = Reader::default();
        let mut command = Command::new("sh");
        let ending = process::watch(command.args(["-c", script]), None, &mut |event| {
            if let Event::Out(line) = event {
                reader.line(line);
            }
        });
        (ending.unwrap(), reader.report)
    }

    #[test]
    fn a_program_that_dies_counts_as_a_failure() {
        let ok = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        let (ending, report) = ended(ok);
        assert_eq!(unexplained(&ending, &report), None);
        let (ending, report) = ended("echo 'test a ... ok'; kill -9 $$");
        assert!(unexplained(&ending, &report).unwrap().contains("after 1 tests"));
        let (ending, report) = ended(&format!("{ok}; exit 101"));
        assert!(unexplained(&ending, &report).unwrap().contains("program failed"));
        let (ending, report) = ended("echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; exit 101");
        assert_eq!(unexplained(&ending, &report), None);
    }

    #[test]
    fn no_test_at_all_and_ignored_tests_are_failures() {
        for (passed, failed, ignored, line, good) in [
            (3, 0, 0, "3 passed, 0 failed", true),
            (0, 0, 0, "0 passed, 0 failed", false),
            (3, 1, 0, "3 passed, 1 failed", false),
            (3, 0, 1, "3 passed, 1 failed", false),
        ] {
            let total = Report { passed, failed, ignored, ..Report::default() };
            assert_eq!(verdict(&total), (line.to_owned(), good));
        }
    }

    #[test]
    fn only_the_test_targets_of_the_chosen_suites_are_built() {
        let metadata = json!({"packages": [
            {"name": "monopod-config", "targets": [{"name": "golden", "kind": ["test"]}, {"name": "lib", "kind": ["lib"]}]},
            {"name": CRATE, "targets": [{"name": "journeys", "kind": ["test"]}]},
        ]});
        let targets = |unit, chosen: &[&str]| {
            super::targets(&metadata, unit, &chosen.iter().map(|name| name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(targets(true, &[UNIT]), ["golden"]);
        assert_eq!(targets(true, &[UNIT, "journeys"]), ["journeys", "golden"]);
        assert_eq!(targets(false, &["journeys"]), ["journeys"]);
    }
}
