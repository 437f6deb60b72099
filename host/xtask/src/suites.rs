//! Which suites there are, and what each needs. A suite exists once it has a test: `unit` is
//! every crate's own tests, the others are the test targets of the crate in `tests/`.

use crate::json;
use anyhow::{Result, bail};
use serde_json::Value;

/// The suite of all crates' own tests.
pub const UNIT: &str = "unit";
/// The crate whose test targets are suites.
pub const CRATE: &str = "monopod-tests";

/// A program that a suite starts, and Debian's package for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Need {
    /// Name on the search path.
    pub program: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

/// What has to be on the machine before a suite can run. A suite that is not named here needs
/// nothing but the host.
pub fn needs(suite: &str) -> &'static [Need] {
    match suite {
        "browser" => &[Need { program: "chromium", package: "chromium" }],
        "brokers" => &[Need { program: "rabbitmq-server", package: "rabbitmq-server" }],
        "conformance" => {
            &[Need { program: "node", package: "nodejs" }, Need { program: "npm", package: "npm" }]
        }
        _ => &[],
    }
}

/// The folder with the lock file of the npm packages that a suite runs.
pub fn packages(suite: &str) -> Option<&'static str> {
    (suite == "conformance").then_some("tests/conformance/clients")
}

/// Whether a suite runs components made by other people's tools.
pub fn foreign(suite: &str) -> bool {
    suite == "conformance"
}

/// All suites, in the order in which they are run: quick ones first, then as `Cargo.toml` of
/// the tests has them. `metadata` is cargo's, of the host's workspace.
pub fn all(metadata: &Value) -> Vec<String> {
    let targets = json::list(metadata, "/packages")
        .filter(|package| json::text(package, "/name") == Some(CRATE))
        .flat_map(|package| json::list(package, "/targets"))
        .filter(|target| json::has(target, "/kind", "test"))
        .filter_map(|target| json::text(target, "/name"));
    let mut suites = vec![UNIT.to_owned()];
    suites.extend(targets.map(str::to_owned));
    suites
}

/// The suites that were asked for, in the order of `all`; all of them if none was named.
pub fn choose(all: &[String], wanted: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("there is no suite `{unknown}`. There are: {}", all.join(" "));
    }
    Ok(all.iter().filter(|name| wanted.is_empty() || wanted.contains(name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata() -> Value {
        json!({"packages": [
            {"name": "monopod-core", "targets": [{"name": "golden", "kind": ["test"]}]},
            {"name": CRATE, "targets": [
                {"name": "monopod_tests", "kind": ["lib"]},
                {"name": "bench", "kind": ["bin"]},
                {"name": "journeys", "kind": ["test"]},
                {"name": "faults", "kind": ["test"]},
            ]},
        ]})
    }

    #[test]
    fn suites_are_the_test_targets_of_the_tests_crate_after_unit() {
        assert_eq!(all(&metadata()), ["unit", "journeys", "faults"]);
    }

    #[test]
    fn suites_are_chosen_by_name_and_run_in_their_own_order() {
        let all = all(&metadata());
        let choose = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|name| name.to_string()).collect();
            super::choose(&all, &wanted)
        };
        assert_eq!(choose(&[]).unwrap(), all);
        assert_eq!(choose(&["faults", "unit"]).unwrap(), ["unit", "faults"]);
        let error = choose(&["jorneys"]).unwrap_err().to_string();
        assert_eq!(error, "there is no suite `jorneys`. There are: unit journeys faults");
    }
}
