//! Schemas of components: composed, or refused with places. The selections, filters, tests and
//! templates in them are read by the same way.

use std::path::Path;

use monopod_core::component;
use monopod_graph::{Contribution, Policy, Settings, compose, diff};

use crate::run::Target;

pub struct Schemas {
    settings: Settings,
}

impl Schemas {
    pub fn new() -> Self {
        let policy = Policy { scopes: ["analysis".to_owned()].into(), ..Policy::default() };
        Self {
            settings: Settings {
                policies: [("RequireApiScope".to_owned(), policy)].into(),
                ..Settings::default()
            },
        }
    }
}

/// All schemas below a folder: those of the room's cases are replayed with their answers there.
pub fn below(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "graphql") {
            found.push(std::fs::read(path).unwrap());
        }
    }
    found.sort();
}

/// What one component adds.
pub fn contribution(text: &str) -> Contribution {
    let topics = ["analysis.started", "analysis.progress", "analysis.completed", "analysis.failed"];
    Contribution {
        component: "a".parse().unwrap(),
        schema: component::Schema { file: "a.graphql".to_owned(), text: text.to_owned() },
        may_call: ["storage".parse().unwrap()].into(),
        may_watch: topics.iter().map(|topic| topic.parse().unwrap()).collect(),
        may_send: ["https://vision.example/v1/".parse().unwrap()].into(),
        limits: component::Limits::default(),
    }
}

impl Target for Schemas {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let checkout = monopod_tests::checkout();
        let mut seeds = Vec::new();
        below(&checkout.join("host/graph/tests/compose"), &mut seeds);
        for component in ["ingestion", "media-access", "orchestrator"] {
            seeds.extend(std::fs::read(checkout.join("components").join(component).join("schema.graphql")));
        }
        seeds
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let words = [
            "@connect(http: {GET: \"/a/{$args.id}?b={$batch.id}\"}, selection: \"$.a { b c: d.e }\")",
            "@connect(http: {POST: \"/a\", body: \"$args { a b }\"}, isSuccess: \"$status = 200\", selection: \"id\")",
            "batch: {maxSize: 50, match: \"id = $this.id\"}",
            "@subscribe(topic: \"analysis.started\", filter: \"id = $args.id\", until: \"always\", selection: \"id\")",
            "@resolve(needs: [\"id\"])",
            "@key(fields: \"id\")",
            "@shareable",
            "@requiresScopes(scopes: [[\"a\"]])",
            "@listSize(assumedSize: 7, slicingArguments: [\"first\"])",
            "extend type Query {",
            "implements I & J",
            "{$this.",
            "{$args.",
            "$(",
            "\\u0000",
            "\\\"",
            "\"\"\"",
            "{{{{{{{{",
            "[[[[[[[[",
            "ä\u{202e}",
            "99999999999999999999",
        ];
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(input);
        let found = match compose(&[contribution(&text)], &self.settings) {
            Ok(schema) => {
                // What clients are shown is a schema, and the same one.
                return match diff(&schema.sdl(), &schema) {
                    Ok(changes) if changes.is_empty() => {
                        Ok(format!("good {}", schema.fields().len().min(20)))
                    }
                    Ok(changes) => Err(format!("its own text differs from it: {changes:?}")),
                    Err(error) => Err(format!("its own text is no schema: {error:?}")),
                };
            }
            Err(found) => found,
        };
        let lines = text.lines().count() + 1;
        for mistake in &found {
            // What people see must come together, wherever the place is.
            let shown = mistake.to_string();
            if mistake.place.as_ref().is_some_and(|place| place.line > lines) {
                return Err(format!("a place behind the end: {shown}"));
            }
        }
        let first = found.first().ok_or("refused without a mistake")?;
        let kind: String =
            first.message.split('`').step_by(2).flat_map(|part| part.chars().take(40)).collect();
        Ok(format!("{} {kind}", found.len().min(8)))
    }
}
