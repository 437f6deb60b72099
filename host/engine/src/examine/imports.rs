//! Imports against what is offered and granted. Every problem of a component is found at once.

use monopod_core::component::{Component, Grants};

use super::Problem;
use super::offers::{Grant, OFFERS, Offer};

/// What is wrong with each import: it is offered by no host, in another version, or not granted.
pub(crate) fn judge<'a>(imports: impl Iterator<Item = &'a str>, component: &Component) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut more = 0_usize;
    for problem in imports.filter_map(|import| one(import, component)) {
        if problems.len() < MAX_TOLD { problems.push(problem) } else { more += 1 }
    }
    if more > 0 {
        problems.push(Problem::new(format!("{more} more imports are wrong"), "begin with those above"));
    }
    problems
}

/// How many wrong imports are told of one component: more than any real one has.
const MAX_TOLD: usize = 20;

fn one(import: &str, component: &Component) -> Option<Problem> {
    let Some(name) = Name::parse(import) else {
        // A function, or a world's own type: hosts offer interfaces.
        return Some(Problem::new(
            format!("it imports `{}`, and no host offers this: it is not of a package", shown(import)),
            "import an interface of a package, or build the function into the component",
        ));
    };
    let Some(offer) = name.offer() else { return Some(name.unknown(import)) };
    let line = missing(offer.grant, &component.grants)?;
    Some(Problem::new(
        format!("it imports `{import}`, which is not granted"),
        format!("[components.{}.grants] {line}", component.name),
    ))
}

/// The grant that an import needs and the component does not have, as the line to write.
fn missing(grant: Grant, grants: &Grants) -> Option<&'static str> {
    let (granted, line) = match grant {
        Grant::None => return None,
        Grant::Buckets => (!grants.buckets.is_empty(), r#"buckets = ["<name>"]"#),
        Grant::Publish => (!grants.publish.is_empty(), r#"publish = ["<topic>"]"#),
        Grant::Blobs => (!grants.blobs.is_empty(), r#"blobs = ["<container>"]"#),
        Grant::Timers => (grants.timers, "timers = true"),
    };
    (!granted).then_some(line)
}

/// `wasi:http/types@0.2.12` in its parts.
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: &'a str,
}

impl<'a> Name<'a> {
    fn parse(import: &'a str) -> Option<Self> {
        let (package, rest) = import.split_once('/')?;
        package.contains(':').then_some(())?;
        let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
        Some(Self { package, interface, version })
    }

    fn offer(&self) -> Option<&'static Offer> {
        self.of_package().find(|offer| {
            offer.interfaces.contains(&self.interface)
                && offer.versions.iter().any(|offered| matches(offered, self.version))
        })
    }

    fn of_package(&self) -> impl Iterator<Item = &'static Offer> {
        let package = self.package.to_owned();
        OFFERS.iter().filter(move |offer| offer.package == package)
    }

    fn unknown(&self, import: &str) -> Problem {
        let what = format!("it imports `{}`, and no host offers this", shown(import));
        let mut versions: Vec<&str> = self.of_package().flat_map(|offer| offer.versions).copied().collect();
        versions.sort_unstable();
        versions.dedup();
        let there = self.of_package().any(|offer| offer.versions.iter().any(|v| matches(v, self.version)));
        let fix = if versions.is_empty() {
            format!(
                "build it without `{}`; what is offered stands in docs/components.md",
                shown(self.package)
            )
        } else if there {
            format!("build it without this interface of `{}`", self.package)
        } else {
            format!("build it for {} {}, which this host offers", self.package, versions.join(" or "))
        };
        Problem::new(what, fix)
    }
}

/// Whether a component built for `found` is served by `offered`. Releases of one minor version
/// only add to it; a pre-release is compatible with nothing but itself.
fn matches(offered: &str, found: &str) -> bool {
    if offered == found {
        return true;
    }
    let Some(patch) = found.strip_prefix(offered).and_then(|rest| rest.strip_prefix('.')) else {
        return false;
    };
    offered.matches('.').count() == 1
        && !patch.is_empty()
        && patch.bytes().all(|digit| digit.is_ascii_digit())
}

/// A name from a file nobody vouches for, for a terminal.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    name.chars().filter(|c| !c.is_control()).take(MOST).collect()
}
