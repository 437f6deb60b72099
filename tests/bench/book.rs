//! Where figures are written down: standard output and `target/bench.jsonl`, a line each, and the
//! table at the end.

use std::fs::File;
use std::io::Write;

use serde_json::Value;

use crate::figure::{Figure, round};
use crate::machine;

/// The figures of this run.
pub struct Book {
    file: File,
    origin: Vec<(&'static str, Value)>,
    figures: Vec<(&'static str, Figure)>,
    missing: Vec<String>,
}

impl Book {
    /// Opens it for more lines.
    pub fn open() -> Self {
        let folder = monopod_tests::checkout().join("target");
        std::fs::create_dir_all(&folder).unwrap();
        let file = File::options().create(true).append(true).open(folder.join("bench.jsonl")).unwrap();
        Self { file, origin: machine::origin(), figures: Vec::new(), missing: Vec::new() }
    }

    /// Writes a figure down.
    pub fn add(&mut self, bench: &'static str, figure: Figure) {
        let line = figure.line(bench, &self.origin);
        println!("{line}");
        writeln!(self.file, "{line}").unwrap();
        self.figures.push((bench, figure));
    }

    /// Notes that a figure could not be measured, and why; said again below the table.
    pub fn missing(&mut self, metric: &str, why: &str) {
        let text = format!("not measured: {metric}: {why}");
        self.say(&text);
        self.missing.push(text);
    }

    /// Says what is done now, for those who wait.
    pub fn say(&self, text: &str) {
        eprintln!("· {text}");
    }

    /// Prints all figures of this run.
    pub fn table(&self) {
        let header = ["bench", "metric", "median", "spread", "peer", "ratio", "goal", ""];
        let mut rows = vec![header.map(str::to_owned)];
        for (bench, figure) in &self.figures {
            let [least, greatest] = figure.spread().map(round);
            let peer = figure
                .peer
                .as_ref()
                .map(|peer| format!("{} {}", round(crate::figure::median(&peer.values)), peer.name));
            rows.push([
                (*bench).to_owned(),
                figure.metric.to_owned(),
                format!("{} {}", round(figure.value()), figure.unit),
                format!("{least} – {greatest}"),
                peer.unwrap_or_default(),
                figure.ratio().map(|ratio| round(ratio).to_string()).unwrap_or_default(),
                figure.goal().unwrap_or_default(),
                match figure.met() {
                    Some(true) => "met",
                    Some(false) => "MISSED",
                    None => "",
                }
                .to_owned(),
            ]);
        }
        let widths: Vec<usize> = (0..header.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        println!();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        for text in &self.missing {
            println!("{text}");
        }
        let origin: Vec<_> = self
            .origin
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            })
            .collect();
        println!("\n{}, load average {} now", origin.join(", "), machine::load());
    }
}
