//! What is made from something else: the schema's part about the platform, from the host's
//! own schema; the README, from the values and their comments.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use monopod_tests::kube;
use serde_json::Value;

use crate::support::kept;

/// The chart's schema says of the platform what the host's schema does.
#[test]
fn the_schema_of_the_platform_is_that_of_the_host() {
    let file = kube::chart().join("values.schema.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let host = monopod_tests::checkout().join("host/config/platform.schema.json");
    let host: Value = serde_json::from_str(&std::fs::read_to_string(host).unwrap()).unwrap();
    for section in ["policies", "graphql", "topics", "components"] {
        schema["properties"]["config"]["properties"][section] = host["properties"][section].clone();
    }
    let mut named = BTreeMap::new();
    definitions(&schema["properties"], &host["$defs"], &mut named);
    schema["$defs"] = serde_json::to_value(named).unwrap();
    kept(&file, &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
}

/// Adds what `schema` refers to, and what that refers to in turn.
fn definitions(schema: &Value, all: &Value, named: &mut BTreeMap<String, Value>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(|it| it.as_str()?.strip_prefix("#/$defs/"))
                && !named.contains_key(name)
            {
                named.insert(name.to_owned(), all[name].clone());
                definitions(&all[name], all, named);
            }
            map.values().for_each(|value| definitions(value, all, named));
        }
        Value::Array(list) => list.iter().for_each(|value| definitions(value, all, named)),
        _ => {}
    }
}

/// A value in the file: its path, what it is by default, and what the comment says.
struct Entry {
    path: String,
    default: String,
    says: String,
}

/// Reads the values' file line by line: a comment that begins with `-- ` belongs to the key
/// in the line below; what is deeper than that key is its default.
fn entries(text: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut says: Option<String> = None;
    // Deeper than this is inside a value that has its comment already.
    let mut inside: Option<usize> = None;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let depth = line.len() - line.trim_start().len();
        if let Some(comment) = line.trim().strip_prefix("# -- ") {
            says = Some(comment.to_owned());
            continue;
        }
        if line.trim().starts_with('#') || inside.is_some_and(|outer| depth > outer) {
            continue;
        }
        inside = None;
        let (key, default) = line.trim().split_once(':').unwrap();
        path.retain(|(outer, _)| *outer < depth);
        path.push((depth, key.to_owned()));
        if let Some(says) = says.take() {
            let path = path.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
            let default = default.trim();
            let default = if default.is_empty() { "see values.yaml" } else { default };
            found.push(Entry { path, default: default.to_owned(), says });
            inside = Some(depth);
        }
    }
    found
}

#[test]
fn the_readme_is_made_from_the_values() {
    let chart = kube::chart();
    let values = std::fs::read_to_string(chart.join("values.yaml")).unwrap();
    let entries = entries(&values);
    assert!(entries.len() > 40, "{}", entries.len());
    let mut table = String::from("| value | default | what it is |\n|---|---|---|\n");
    for entry in &entries {
        let says = entry.says.replace('|', "\\|");
        writeln!(table, "| `{}` | `{}` | {says} |", entry.path, entry.default).unwrap();
    }
    let text = std::fs::read_to_string(monopod_tests::checkout().join("tests/charts/readme.md")).unwrap();
    kept(&chart.join("README.md"), &text.replace("{{values}}\n", &table));
}

/// Every leaf of the values is either described itself or part of something described.
#[test]
fn no_value_is_without_a_description() {
    let values = std::fs::read_to_string(kube::chart().join("values.yaml")).unwrap();
    let entries = entries(&values);
    let described =
        |path: &str| entries.iter().any(|it| path == it.path || path.starts_with(&format!("{}.", it.path)));
    let json = kube::helm(&["show", "values", kube::chart().to_str().unwrap()]).good();
    let object: Value = values_as_json(&json);
    let mut missing = Vec::new();
    walk(&object, String::new(), &mut |path| {
        if !described(path) {
            missing.push(path.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
}

/// YAML to JSON by way of the client, which reads both.
fn values_as_json(yaml: &str) -> Value {
    let indented: String = yaml.lines().map(|line| format!("  {line}\n")).collect();
    let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\nvalues:\n{indented}");
    crate::support::parse(&object).remove(0)["values"].clone()
}

fn walk(value: &Value, path: String, see: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                walk(value, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, see);
            }
        }
        _ => see(&path),
    }
}
