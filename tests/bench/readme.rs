//! The README's table of figures, written from `target/bench.jsonl`: of each figure the last
//! measurement. `make bench NAME=readme` runs it and measures nothing.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->";

/// Writes the table between its marks in the README of the checkout `root`.
pub fn write(root: &Path) {
    let lines = std::fs::read_to_string(root.join("target/bench.jsonl"))
        .expect("there are no figures yet: `make bench NAME=spine`");
    let mut last: Vec<Value> = Vec::new();
    for line in lines.lines() {
        let figure: Value = serde_json::from_str(line).unwrap();
        last.retain(|known| (&known["bench"], &known["metric"]) != (&figure["bench"], &figure["metric"]));
        last.push(figure);
    }
    let file = root.join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the README has the mark of its figures");
    let (_, after) = rest.split_once(END).expect("the README has the mark of its figures' end");
    std::fs::write(file, format!("{before}{BEGIN}{}{END}{after}", table(&last))).unwrap();
}

fn table(figures: &[Value]) -> String {
    let mut table = String::from("| | figure | measured | goal | | against |\n|---|---|---|---|---|---|\n");
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    for figure in figures {
        let met = match figure["met"].as_bool() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        let peer = match &figure["peer"] {
            Value::String(name) => format!("{} {name}", figure["peer_value"]),
            _ => String::new(),
        };
        let spread = &figure["spread"];
        writeln!(
            table,
            "| {} | {} | {} {} ({} to {}) | {} | {met} | {peer} |",
            text(&figure["bench"]),
            text(&figure["metric"]),
            figure["value"],
            text(&figure["unit"]),
            spread[0],
            spread[1],
            text(&figure["goal"]),
        )
        .unwrap();
    }
    if let Some(newest) = figures.last() {
        writeln!(
            table,
            "\nMedians of repeated rounds (least to greatest); {}, {} cores, {}, commit {}. What each leaves out stands in \
             `target/bench.jsonl`.",
            text(&newest["date"]),
            newest["cores"],
            text(&newest["cpu"]),
            text(&newest["commit"]),
        )
        .unwrap();
    }
    table
}
