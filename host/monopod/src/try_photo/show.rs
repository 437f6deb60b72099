//! What is shown: lines and a bar for people, or one JSON object for each event.
//! Bars only on a terminal; colours as `screen` has them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use monopod_core::size::Size;
use serde_json::{Map, Value, json};

use super::client::{Event, Kind, Upload};
use super::photo::Photo;
use super::trouble::Trouble;
use crate::screen;

/// Columns of a label within the photo's own lines; the longest is `recognition`.
const LABEL: usize = 12;

/// How often a waiting mark moves.
const SPIN: Duration = Duration::from_millis(100);

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Where everything that happens is shown.
pub(super) struct Show {
    /// Where JSON goes; none: it is shown to people.
    json: Option<Box<dyn Write + Send>>,
    terminal: bool,
    /// What moves at the moment.
    bar: Option<ProgressBar>,
}

impl Drop for Show {
    fn drop(&mut self) {
        self.still();
    }
}

impl Show {
    /// For people, on standard output.
    pub(super) fn people() -> Self {
        Self { json: None, terminal: std::io::stdout().is_terminal(), bar: None }
    }

    /// For scripts: one JSON object in a line for each event.
    pub(super) fn json(to: impl Write + Send + 'static) -> Self {
        Self { json: Some(Box::new(to)), terminal: false, bar: None }
    }

    pub(super) fn photo(&mut self, photo: &Photo) {
        if self.json.is_some() {
            let fields =
                json!({ "file": photo.path, "bytes": photo.size(), "contentType": photo.content_type });
            return self.print_json("photo", fields);
        }
        screen::line("photo", &format!("{} ({})", clean(&photo.path), Size::bytes(photo.size())));
    }

    pub(super) fn upload(&mut self, upload: &Upload) {
        if self.json.is_some() {
            let fields = json!({
                "uploadId": upload.upload_id,
                "correlationId": upload.correlation_id,
                "objectKey": upload.key,
                "expiresAt": upload.expires_at,
            });
            self.print_json("upload", fields);
        }
    }

    pub(super) fn sending(&mut self, sent: u64, total: u64) {
        if !self.terminal {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stdout());
            let template = format!("  {:<LABEL$} ▕{{bar:10}}▏ {{percent}} %", "uploading");
            let style =
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
            bar
        });
        bar.set_position(sent);
    }

    pub(super) fn uploaded(&mut self, bytes: u64, took: Duration) {
        self.still();
        if self.json.is_some() {
            return self.print_json("uploaded", json!({ "bytes": bytes, "milliseconds": millis(took) }));
        }
        let bar = if self.terminal { "▕██████████▏ " } else { "" };
        self.line("uploaded", &format!("{bar}{}  {}", Size::bytes(bytes), time(took)));
    }

    pub(super) fn confirmed(&mut self, status: &str, took: Duration) {
        if self.json.is_some() {
            return self.print_json("confirmed", json!({ "status": status, "milliseconds": millis(took) }));
        }
        self.wait("analysis");
    }

    /// An event of the analysis, so long after the upload was confirmed.
    pub(super) fn event(&mut self, event: &Event, after: Duration) {
        if self.json.is_some() {
            let mut fields = event.payload.clone();
            if let Some(fields) = fields.as_object_mut() {
                fields.insert("milliseconds".to_owned(), json!(millis(after)));
            }
            return self.print_json(event.kind.as_str(), fields);
        }
        self.still();
        match event.kind {
            Kind::Started => {
                let key = clean(event.text("objectKey").unwrap_or_default());
                self.line("started", &key);
                self.wait("analysis");
            }
            Kind::Progress => {
                let step = clean(event.text("step").unwrap_or("step"));
                match event.text("state") {
                    // What recognition found is told with the end of the analysis.
                    Some("completed") if step != "recognition" => self.line(&step, "done"),
                    _ => {}
                }
                self.wait(&step);
            }
            Kind::Completed if event.succeeded() => {
                self.line("recognition", &machine(&event.payload));
                let text = format!("{GREEN}{}{GREEN:#} after the upload was confirmed", time(after));
                self.line("completed", &text);
            }
            Kind::Completed | Kind::Failed => {
                let step = event.text("step").map(|step| format!("{}: ", clean(step))).unwrap_or_default();
                let reason = clean(event.text("reason").unwrap_or("no reason was given"));
                self.line("failed", &format!("{RED}{step}{reason}{RED:#}"));
            }
        }
    }

    pub(super) fn trouble(&mut self, trouble: &Trouble) {
        self.still();
        let (what, fix) = (clean(&trouble.what), clean(&trouble.fix));
        if self.json.is_some() {
            self.print_json("error", json!({ "message": what, "fix": fix }));
        }
        screen::error(&format!("{what}\n      {fix}"));
    }

    /// One line for scripts. A closed pipe is no reason to fail.
    fn print_json(&mut self, event: &str, fields: Value) {
        let Some(out) = &mut self.json else { return };
        let mut line = Map::from_iter([("event".to_owned(), Value::from(event))]);
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let _closed = writeln!(out, "{}", Value::Object(line)).and_then(|()| out.flush());
    }

    fn line(&self, label: &str, text: &str) {
        screen::print(&format!("  {DIM}{label:<LABEL$}{DIM:#} {text}"));
    }

    /// A mark that moves while nothing happens.
    fn wait(&mut self, label: &str) {
        if !self.terminal {
            return;
        }
        self.still();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        let template = format!("  {label:<LABEL$} {{spinner}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(SPIN);
        self.bar = Some(bar);
    }

    fn still(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The machine in one line: `Volvo EC220E · excavator · 0.97 (fleet tag)`.
fn machine(payload: &Value) -> String {
    let aggregate =
        payload.get("recognitionPayload").and_then(|p| p.get("aggregate")).cloned().unwrap_or_default();
    let text = |key: &str| aggregate.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(clean);
    let named = text("name").or_else(|| {
        let parts: Vec<String> = [text("brand"), text("model")].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    });
    let found: Vec<String> = [named, text("type")].into_iter().flatten().collect();
    let confidence = aggregate.get("confidence").and_then(Value::as_f64).unwrap_or(0.0);
    let strongest = aggregate.get("evidence").and_then(Value::as_array).and_then(|all| all.first());
    let of = |key: &str| strongest.and_then(|e| e.get(key)).and_then(Value::as_str).map(clean);
    let by = of("kind").or_else(|| text("typeSource")).map(|kind| kind.replace('-', " "));
    if found.is_empty() {
        return match (by, of("text")) {
            (Some(by), Some(what)) => format!("no machine was recognised · {confidence:.2} ({by}: {what})"),
            _ => "no machine was recognised: the photo holds no evidence of one".to_owned(),
        };
    }
    let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
    let doubt =
        if aggregate.get("isConfident") == Some(&Value::Bool(true)) { "" } else { " · not confident" };
    format!("{} · {confidence:.2}{by}{doubt}", found.join(" · "))
}

/// Without what would move the cursor: it comes from elsewhere and goes to a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn time(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 10_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_in_one_line_with_its_evidence_and_its_doubt() {
        let told = |aggregate: Value| machine(&json!({ "recognitionPayload": { "aggregate": aggregate } }));
        let sure = json!({
            "brand": "Volvo", "model": "EC220E", "name": "Volvo EC220E", "type": "excavator",
            "confidence": 0.97, "isConfident": true, "evidence": [{ "kind": "fleet-tag", "text": "…" }],
        });
        assert_eq!(told(sure), "Volvo EC220E · excavator · 0.97 (fleet tag)");
        let doubtful =
            json!({ "brand": "Volvo", "confidence": 0.2, "isConfident": false, "typeSource": "livery" });
        assert_eq!(told(doubtful), "Volvo · 0.20 (livery) · not confident");
        let nothing = "no machine was recognised: the photo holds no evidence of one";
        assert_eq!(told(json!({ "confidence": 0, "isConfident": false })), nothing);
        assert_eq!(machine(&Value::Null), nothing);
        let weak = json!({ "confidence": 0.2, "evidence": [{ "kind": "livery", "text": "much yellow" }] });
        assert_eq!(told(weak), "no machine was recognised · 0.20 (livery: much yellow)");
        let hostile = json!({ "name": "\u{1b}[2JVolvo", "confidence": 1, "isConfident": true });
        assert_eq!(told(hostile), "[2JVolvo · 1.00");
    }
}
