//! The project's task program: what stands behind `make run`, `test`, `check` and `bench`.
//!
//! It is the first thing that is built on a fresh machine, so it has next to no dependencies
//! and compiles in seconds. It starts other programs and reads what they print; it must not
//! link any room of the host, and it must not know what the product does.
//!
//! Choices come in as environment variables of the same names as on make's command line
//! (`make run PHOTO=my.jpg` puts `PHOTO` into the environment), so no quoting gets in the way.

mod arrows;
mod audit;
mod bench;
mod bundles;
mod cargo;
mod check;
mod choice;
mod cluster;
mod debian;
mod examples;
mod foreign;
mod fuzz;
mod guests;
mod image;
mod json;
mod libtest;
mod npm;
mod place;
mod process;
mod run;
mod suites;
mod test;
mod text;
mod toolchain;
mod ui;
mod wasmtime;

use anyhow::{Result, bail};
use place::Place;
use std::process::ExitCode;

const HELP: &str = "\
make run                build everything, start the platform, send a sample photo, serve
  PHOTO=my.jpg          send this photo instead
  ONCE=1                end after the answer, with its exit code
make build              the same without starting it, and with the guests of the tests
make guests             the guests alone
make test               all suites
  SUITE=\"unit faults\"   only these
  FULL=1                the long form of suites that are shortened otherwise
make check              format, lints, licences, advisories, architecture arrows
  PART=\"format arrows\"  only these
make bench              figures, as a table and as target/bench.jsonl
  NAME=spine            only this one: spine, engine, state, graphql, pod; readme writes the table of the README
make fuzz               inputs that nobody would write, against what reads them
  NAME=loader           only this one: loader, response, platform, schema, document, selection, template
  TIME=10m              how long for each (1m)
make image              the host and the bundles as images, in target/images
make cluster            a Kubernetes of one node from packages, with the chart installed
  CONTEXT=name          in the cluster of this context of kubectl instead; current: of its current one
  REGISTRY=host/path    where that cluster has the images from; localhost: they are in its nodes
  NAMESPACE=name        into this namespace, which is made (trackunit)
  VALUES=my.yaml        with these values over those for development
make cluster-down       its end
  CONTEXT=name          there, only uninstalls the release
make help               this list

CARGO_TARGET_DIR        where the host is built (~/.cache/monopod/target)
MONOPOD_WASM            rustup or debian: build the guests with this compiler, without trying the other
";

fn main() -> ExitCode {
    match dispatch(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Told>() => ExitCode::FAILURE,
        Err(error) => {
            // The causes follow each other in one sentence; none of the errors repeats its source.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A failure that the user has read already: a failed test, a failed check. Nothing may come
/// after the closing line of `make test`.
#[derive(Debug)]
struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed, as said above")
    }
}

impl std::error::Error for Told {}

fn dispatch(command: Option<&str>) -> Result<()> {
    match command {
        Some("run") => run::run(&Place::find()?),
        Some("build") => run::build(&Place::find()?, true).map(|_| ()),
        Some("guests") => run::guests_only(&Place::find()?),
        Some("test") => test::run(&Place::find()?),
        Some("check") => check::run(&Place::find()?),
        Some("bench") => bench::run(&Place::find()?),
        Some("fuzz") => fuzz::run(&Place::find()?),
        Some("image") => image::run(&Place::find()?),
        Some("cluster") => cluster::up(&Place::find()?),
        Some("cluster-down") => cluster::down(&Place::find()?),
        // Started by `cluster` in namespaces of its own.
        Some("inside") => cluster::inside(&Place::find()?, &std::env::args().nth(2).unwrap_or_default()),
        Some("help") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!(
            "`{other}` is not a command: run, build, guests, test, check, bench, fuzz, image, cluster, cluster-down, help"
        ),
    }
}

/// The words of a choice such as `SUITE="a b"`; none when it is absent or empty.
fn words(variable: &str) -> Vec<String> {
    std::env::var(variable).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Whether a switch such as `ONCE=1` is on.
fn switch(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| is_on(&value))
}

fn is_on(value: &str) -> bool {
    !matches!(value, "" | "0" | "false" | "no")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_off_when_it_is_empty_zero_false_or_no() {
        for off in ["", "0", "false", "no"] {
            assert!(!is_on(off), "{off:?}");
        }
        for on in ["1", "true", "yes"] {
            assert!(is_on(on), "{on:?}");
        }
    }

    #[test]
    fn an_unknown_command_is_answered_with_those_that_exist() {
        let error = dispatch(Some("tset")).unwrap_err().to_string();
        assert!(error.contains("`tset`") && error.contains("test"), "{error}");
    }
}
