//! The architecture as a rule over `cargo metadata`: who may depend on whom, and which room
//! alone knows a library. Used by `make check`, and by a test over this tree.
//!
//! Only what is shipped counts: dependencies of tests may point anywhere. What a dependency
//! drags in is its own business, except under `core`, which has to stay free of all I/O.

use crate::cargo;
use crate::json;
use crate::place::Place;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

/// The vocabulary and the ports.
const CORE: &str = "monopod-core";
/// The binary: it plugs the rooms together.
const BINARY: &str = "monopod";

/// Who may depend on more of this workspace than `core`.
enum Reach {
    /// On everything: the wiring and what tests it.
    All,
    /// On nothing: it is built before everything else.
    Nothing,
    /// On `core` and these.
    CoreAnd(&'static [&'static str]),
}

fn reach(package: &str) -> Reach {
    match package {
        BINARY | "monopod-testkit" | "monopod-tests" => Reach::All,
        "xtask" | CORE => Reach::Nothing,
        "monopod-rollout" => Reach::CoreAnd(&["monopod-bundle"]),
        _ => Reach::CoreAnd(&[]),
    }
}

/// A subject that one room alone knows, by the names of the libraries. A name that ends in
/// `*` stands for all that begin so.
struct Owned {
    room: &'static str,
    subject: &'static str,
    libraries: &'static [&'static str],
}

const OWNED: [Owned; 6] = [
    Owned {
        room: "monopod-engine",
        subject: "WebAssembly",
        libraries: &["wasmtime*", "cranelift*", "wasmi*"],
    },
    Owned {
        room: "monopod-edge",
        subject: "TLS",
        libraries: &["rustls", "rustls-*", "tokio-rustls", "hyper-rustls", "native-tls", "openssl*", "rcgen"],
    },
    Owned {
        room: "monopod-graph",
        subject: "GraphQL",
        libraries: &["apollo-*", "async-graphql*", "graphql-*"],
    },
    Owned { room: "monopod-operate", subject: "OTLP", libraries: &["opentelemetry*", "prost*"] },
    Owned { room: "monopod-messaging", subject: "brokers", libraries: &["lapin", "rdkafka*"] },
    Owned {
        room: "monopod-state",
        subject: "SQL",
        libraries: &["rusqlite", "libsqlite3-sys", "sqlx*", "tokio-postgres", "postgres*"],
    },
];

/// What `core` must not even reach through others.
const NOT_UNDER_CORE: [&str; 6] = ["tokio", "mio", "hyper", "axum*", "wasmtime*", "rusqlite"];

/// Checks both workspaces of the checkout; the arrows that must not be.
pub fn check(place: &Place) -> Result<Vec<String>> {
    let mut found = host(&cargo::metadata(place, &place.root, true)?);
    found.extend(guests(&cargo::metadata(place, &place.components(), false)?, &place.components()));
    Ok(found)
}

/// Dependencies of a package that are shipped, as cargo metadata lists them.
fn shipped(package: &Value) -> impl Iterator<Item = &Value> {
    json::list(package, "/dependencies").filter(|dependency| json::text(dependency, "/kind") != Some("dev"))
}

fn name(value: &Value) -> &str {
    json::text(value, "/name").unwrap_or_default()
}

/// The rules of the host's workspace.
fn host(metadata: &Value) -> Vec<String> {
    let is_member = |id: &str| json::has(metadata, "/workspace_members", id);
    let packages: Vec<&Value> = json::list(metadata, "/packages")
        .filter(|package| json::text(package, "/id").is_some_and(is_member))
        .collect();
    let inside = |library: &str| packages.iter().any(|package| name(package) == library);
    let mut found = Vec::new();
    for package in &packages {
        let from = name(package);
        for to in shipped(package).map(name) {
            if inside(to) {
                found.extend(room_rule(from, to));
            } else {
                found.extend(owner_rule(from, to));
            }
        }
    }
    found.extend(core_rule(metadata));
    found
}

fn room_rule(from: &str, to: &str) -> Option<String> {
    let allowed = match reach(from) {
        Reach::All => true,
        Reach::Nothing => false,
        Reach::CoreAnd(more) => to == CORE || more.contains(&to),
    };
    (!allowed).then(|| {
        format!("{from} -> {to}: rooms depend only on {CORE}, and meet through its ports in {BINARY}")
    })
}

fn owner_rule(from: &str, to: &str) -> Option<String> {
    let owned = OWNED.iter().find(|owned| owned.libraries.iter().any(|pattern| matches(pattern, to)))?;
    let free = from == owned.room || from == "monopod-tests" || from == "monopod-testkit";
    (!free).then(|| format!("{from} -> {to}: only {} knows {}", owned.room, owned.subject))
}

fn matches(pattern: &str, library: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == library, |start| library.starts_with(start))
}

/// Walks everything below `core` and shows the way to what must not be there.
fn core_rule(metadata: &Value) -> Vec<String> {
    let names: BTreeMap<&str, &str> = json::list(metadata, "/packages")
        .filter_map(|package| Some((json::text(package, "/id")?, json::text(package, "/name")?)))
        .collect();
    let below: BTreeMap<&str, Vec<&str>> = json::list(metadata, "/resolve/nodes")
        .filter_map(|node| {
            let deps = json::list(node, "/deps").filter(|dep| is_shipped(dep));
            Some((json::text(node, "/id")?, deps.filter_map(|dep| json::text(dep, "/pkg")).collect()))
        })
        .collect();
    let Some(core) = names.iter().find(|(_, name)| **name == CORE).map(|(id, _)| *id) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut way_to: BTreeMap<&str, String> = BTreeMap::from([(core, CORE.to_owned())]);
    let mut queue = VecDeque::from([core]);
    while let Some(id) = queue.pop_front() {
        let way = way_to.get(id).cloned().unwrap_or_default();
        for next in below.get(id).into_iter().flatten() {
            if way_to.contains_key(next) {
                continue;
            }
            let library = names.get(next).copied().unwrap_or(next);
            let longer = format!("{way} -> {library}");
            if NOT_UNDER_CORE.iter().any(|pattern| matches(pattern, library)) {
                found.push(format!("{longer}: core has no I/O and no runtime"));
            }
            way_to.insert(next, longer);
            queue.push_back(next);
        }
    }
    found
}

/// Whether an edge of the resolved graph is there for more than tests.
fn is_shipped(dep: &Value) -> bool {
    json::list(dep, "/dep_kinds").any(|kind| json::text(kind, "/kind") != Some("dev"))
}

/// The rule of the guests: they see the host through WIT alone.
fn guests(metadata: &Value, components: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for package in json::list(metadata, "/packages") {
        for dependency in json::list(package, "/dependencies") {
            let path = json::text(dependency, "/path");
            if path.is_some_and(|path| !Path::new(path).starts_with(components)) {
                found.push(format!(
                    "{} -> {}: guests see the host only through wit/",
                    name(package),
                    name(dependency)
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Metadata of a workspace with these packages and their dependencies. A dependency that
    /// starts with `dev:` is one of tests.
    fn workspace(packages: &[(&str, &[&str])]) -> Value {
        let kind = |name: &str| if name.starts_with("dev:") { json!("dev") } else { Value::Null };
        let bare = |name: &str| name.trim_start_matches("dev:").to_owned();
        let list: Vec<_> = packages
            .iter()
            .map(|(name, deps)| {
                let deps: Vec<_> =
                    deps.iter().map(|dep| json!({"name": bare(dep), "kind": kind(dep)})).collect();
                json!({"id": name, "name": name, "dependencies": deps})
            })
            .collect();
        let nodes: Vec<_> = packages
            .iter()
            .map(|(name, deps)| {
                let deps: Vec<_> = deps
                    .iter()
                    .map(|dep| json!({"pkg": bare(dep), "dep_kinds": [{"kind": kind(dep)}]}))
                    .collect();
                json!({"id": name, "deps": deps})
            })
            .collect();
        let members: Vec<_> = packages
            .iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("monopod") || **name == "xtask")
            .collect();
        json!({"packages": list, "workspace_members": members, "resolve": {"nodes": nodes}})
    }

    #[test]
    fn the_house_as_planned_has_no_wrong_arrow() {
        let house = workspace(&[
            ("monopod-core", &["bytes"]),
            ("monopod-engine", &["monopod-core", "wasmtime", "wasmtime-wasi"]),
            ("monopod-edge", &["monopod-core", "rustls", "tokio-rustls"]),
            ("monopod-state", &["monopod-core", "rusqlite", "dev:monopod-messaging"]),
            ("monopod-messaging", &["monopod-core", "lapin", "rdkafka"]),
            ("monopod-graph", &["monopod-core", "apollo-compiler"]),
            ("monopod-bundle", &["monopod-core"]),
            ("monopod-rollout", &["monopod-core", "monopod-bundle"]),
            ("monopod", &["monopod-core", "monopod-engine", "monopod-graph"]),
            ("monopod-tests", &["monopod", "rustls"]),
            ("xtask", &["anyhow", "serde_json"]),
            ("bytes", &["dev:tokio"]),
        ]);
        assert_eq!(host(&house), Vec::<String>::new());
    }

    #[test]
    fn each_wrong_arrow_is_shown_with_its_rule() {
        for (package, dependency, rule) in [
            ("monopod-graph", "monopod-engine", "rooms depend only on monopod-core"),
            ("monopod-core", "monopod-state", "rooms depend only on monopod-core"),
            ("xtask", "monopod-core", "rooms depend only on monopod-core"),
            ("monopod-rollout", "monopod-engine", "rooms depend only on monopod-core"),
            ("monopod-graph", "wasmtime-wasi", "only monopod-engine knows WebAssembly"),
            ("monopod", "wasmtime", "only monopod-engine knows WebAssembly"),
            ("monopod-messaging", "tokio-rustls", "only monopod-edge knows TLS"),
            ("monopod-edge", "apollo-compiler", "only monopod-graph knows GraphQL"),
            ("monopod-state", "lapin", "only monopod-messaging knows brokers"),
            ("monopod-messaging", "rusqlite", "only monopod-state knows SQL"),
            ("monopod-edge", "opentelemetry-otlp", "only monopod-operate knows OTLP"),
        ] {
            let mut packages: Vec<(&str, &[&str])> = vec![("monopod-core", &[])];
            let dependencies = [dependency];
            packages.retain(|(name, _)| *name != package && *name != dependency);
            packages.push((package, &dependencies));
            if dependency.starts_with("monopod") {
                packages.push((dependency, &[]));
            }
            let found = host(&workspace(&packages));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("{package} -> {dependency}: {rule}")), "{}", found[0]);
        }
    }

    #[test]
    fn a_runtime_below_core_is_found_with_the_way_to_it() {
        let house = workspace(&[
            ("monopod-core", &["object_store", "dev:hyper"]),
            ("object_store", &["tokio"]),
            ("tokio", &["mio"]),
            ("mio", &[]),
            ("hyper", &[]),
        ]);
        let found = host(&house);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("monopod-core -> object_store -> tokio: core has no I/O"),
            "{}",
            found[0]
        );
        assert!(found[1].starts_with("monopod-core -> object_store -> tokio -> mio: "), "{}", found[1]);
    }

    #[test]
    fn a_guest_that_links_a_room_is_found() {
        let metadata = json!({"packages": [{"name": "web", "dependencies": [
            {"name": "monopod-sdk", "path": "/c/components/sdk"},
            {"name": "serde"},
            {"name": "monopod-core", "path": "/c/host/core"},
        ]}]});
        let found = guests(&metadata, Path::new("/c/components"));
        assert_eq!(found, ["web -> monopod-core: guests see the host only through wit/"]);
    }

    #[test]
    fn the_arrows_of_this_tree_hold() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let scratch = std::env::temp_dir().join("xtask-arrows");
        let place = Place { root, cache: scratch.clone(), target: scratch };
        let found = check(&place).unwrap();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
