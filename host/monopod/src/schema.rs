//! `monopod schema`: the composed GraphQL schema, who answers each field of it, and what it
//! changes for the clients of another.

use std::process::ExitCode;

use monopod_graph::{Answered, Change, Class, Schema};
use serde_json::{Value, json};

use crate::{FAILED, USAGE, cli, platform, screen};

/// Something that clients of the other schema may ask for is gone or otherwise.
pub const BREAKING: u8 = 4;

pub fn run(options: &cli::Schema) -> ExitCode {
    let schema = match platform::load(&options.file.file, options.file.bundles.as_deref()) {
        Ok(platform) => platform.schema,
        Err(failed) => {
            failed.print();
            return ExitCode::from(failed.code());
        }
    };
    let Some(schema) = schema else {
        screen::error("no component of this platform adds to a GraphQL schema");
        return ExitCode::from(USAGE);
    };
    let Some(file) = &options.diff else {
        screen::print(&if options.json { facts(&schema).to_string() } else { text(&schema) });
        return ExitCode::SUCCESS;
    };
    let old = match std::fs::read_to_string(file) {
        Ok(old) => old,
        Err(error) => {
            screen::error(&format!("{} cannot be read: {error}", file.display()));
            return ExitCode::from(FAILED);
        }
    };
    let changes = match monopod_graph::diff(&old, &schema) {
        Ok(changes) => changes,
        Err(wrong) => {
            screen::error(&format!("{} is no schema:\n{wrong}", file.display()));
            return ExitCode::from(USAGE);
        }
    };
    if options.json {
        screen::print(&Value::from_iter(changes.iter().map(change)).to_string());
    } else {
        for Change { class, kind, message, .. } in &changes {
            screen::line(name(*class), &format!("{message} ({kind})"));
        }
        let breaking = changes.iter().filter(|change| change.class == Class::Breaking).count();
        screen::line("changes", &format!("{}, {breaking} breaking", changes.len()));
    }
    let breaks = changes.iter().any(|change| change.class == Class::Breaking);
    if breaks { ExitCode::from(BREAKING) } else { ExitCode::SUCCESS }
}

pub fn name(class: Class) -> &'static str {
    match class {
        Class::Breaking => "breaking",
        Class::Dangerous => "dangerous",
        Class::Safe => "safe",
    }
}

pub fn change(change: &Change) -> Value {
    let Change { class, kind, coordinate, message } = change;
    json!({ "class": name(*class), "kind": kind, "coordinate": coordinate, "message": message })
}

fn facts(schema: &Schema) -> Value {
    let field = |field: Answered| {
        let Answered { coordinate, ty, by, how, needs, cost, items } = field;
        json!({ "field": coordinate, "type": ty, "by": by, "how": how, "needs": needs, "cost": cost, "items": items })
    };
    json!({ "sdl": schema.sdl(), "fields": Value::from_iter(schema.fields().into_iter().map(field)) })
}

/// The schema as text, and behind it as comments who answers what: so that the whole is
/// still a schema.
fn text(schema: &Schema) -> String {
    let mut text = schema.sdl();
    text.push_str("\n# Who answers what. Fields that are not named here come with their object.\n");
    let fields = schema.fields();
    let told: Vec<_> = fields
        .iter()
        .filter(|field| field.by.is_some() || !field.needs.is_empty() || field.cost.is_some())
        .collect();
    let width = told.iter().map(|field| field.coordinate.len()).max().unwrap_or(0);
    for field in told {
        let mut parts = Vec::new();
        match (&field.by, &field.how) {
            (Some(by), Some(how)) => parts.push(format!("{by} {how}")),
            _ => parts.push("with its object".to_owned()),
        }
        if !field.needs.is_empty() {
            parts.push(format!("needs {}", field.needs.join(" and ")));
        }
        parts.extend(field.cost.map(|cost| format!("costs {cost}")));
        parts.extend(field.items.map(|items| format!("about {items} items")));
        text.push_str(&format!("# {:<width$}  {}\n", field.coordinate, parts.join("; ")));
    }
    text.truncate(text.trim_end().len());
    text
}
