//! Makes a line of an event. Both forms are one line whatever the event says: control
//! characters are escaped, so that nobody forges lines or steers a terminal.

use std::fmt::{Display, Write};
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::Level;

use super::fields::{ABOUT, Fields};

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text { colour: bool },
}

/// An event's line, with its line break.
pub(super) fn line(form: Form, at: SystemTime, level: Level, target: &str, fields: &Fields) -> String {
    match form {
        Form::Json => json(at, level, target, fields),
        Form::Text { colour } => text(at, level, target, fields, colour),
    }
}

/// An event that names no component is the host's own: then the room's module stands
/// for it, as `target`.
fn json(at: SystemTime, level: Level, target: &str, fields: &Fields) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from(at).format(format).unwrap_or_default();
    let mut line = String::with_capacity(256);
    let mut put = |name: &str, value: &dyn Display| {
        let separator = if line.is_empty() { '{' } else { ',' };
        let _ = write!(line, "{separator}{}:{value}", Quoted(name));
    };
    put("ts", &Quoted(&at));
    put("level", &Quoted(name(level)));
    let [component, ..] = &fields.about.0;
    if component.is_none() {
        put("target", &Quoted(target));
    }
    for (name, value) in ABOUT.iter().zip(&fields.about.0) {
        if let Some(value) = value {
            put(name, &Quoted(value));
        }
    }
    put("msg", &Quoted(&fields.message));
    for (name, value) in &fields.other {
        // A name of ours keeps its meaning, and an object has each name once.
        let own = matches!(*name, "ts" | "level" | "target" | "msg");
        let name = if own { format!("field.{name}") } else { (*name).to_owned() };
        put(&name, &Escaped(&value.to_string()));
    }
    line.push_str("}\n");
    line
}

fn text(at: SystemTime, level: Level, target: &str, fields: &Fields, colour: bool) -> String {
    let paint = |style: Style| if colour { style } else { Style::new() };
    let faint = paint(Style::new().dimmed());
    let bold = paint(Style::new().bold());
    let level_style = paint(match level {
        Level::ERROR => AnsiColor::Red.on_default().bold(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        Level::INFO => AnsiColor::Green.on_default(),
        _ => Style::new().dimmed(),
    });
    let format = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    let at = OffsetDateTime::from(at).format(format).unwrap_or_default();
    let [component, correlation, trace] = &fields.about.0;
    let who = component.as_deref().unwrap_or_else(|| room(target));
    let mut line = String::with_capacity(160);
    let _ = write!(line, "{faint}{at}{faint:#} {level_style}{:<5}{level_style:#} ", name(level));
    let _ = write!(line, "{bold}{}{bold:#} {}", Escaped(who), Escaped(&fields.message));
    let mut put = |name: &str, value: &str| {
        let _ = write!(line, " {faint}{name}={faint:#}");
        let bare = |c: char| c.is_ascii_graphic() && c != '"';
        let _ = if !value.is_empty() && value.chars().all(bare) {
            line.write_str(value)
        } else {
            write!(line, "{}", Quoted(value))
        };
    };
    for (name, value) in &fields.other {
        match value {
            Value::String(text) => put(name, text),
            other => put(name, &other.to_string()),
        }
    }
    for (name, value) in [("correlation", correlation), ("trace", trace)] {
        if let Some(value) = value {
            put(name, value);
        }
    }
    line.push('\n');
    line
}

/// `monopod_engine::cache` -> `engine`; another crate keeps its name.
fn room(target: &str) -> &str {
    let krate = target.split("::").next().unwrap_or(target);
    krate.strip_prefix("monopod_").unwrap_or(krate)
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A JSON string. Beside what JSON asks for, C1 controls are escaped: terminals obey them.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted = Value::from(self.0).to_string();
        write!(f, "{}", Escaped(&quoted))
    }
}

/// Text without its control characters.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "\\u{:04x}", u32::from(c))? } else { f.write_char(c)? }
        }
        Ok(())
    }
}
