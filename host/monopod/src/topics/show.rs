//! How topics and messages are shown: tables for people, a JSON object a line for scripts.

use std::time::Duration;

use monopod_core::topics::{Replayed, TopicStatus};
use monopod_core::{Millis, now};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words::View;
use crate::screen;

/// How much of a content or reason stands in a line of a list, in characters.
const SHOWN: usize = 100;

pub fn topics(topics: &[TopicStatus], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(topics);
    }
    let mut rows =
        vec![["TOPIC", "MESSAGES", "OLDEST", "NEWEST", "CONSUMER", "LAG", "BEHIND"].map(str::to_owned)];
    for topic in topics {
        let head =
            [topic.topic.to_string(), topic.messages.to_string(), ago(topic.oldest), ago(topic.newest)];
        let none = [String::new(), String::new(), String::new()];
        let consumers = topic.consumers.iter().map(|lag| {
            let failing = if lag.failing > 0 { format!(" ({} failing)", lag.failing) } else { String::new() };
            [lag.consumer.to_string(), format!("{}{failing}", lag.waiting), ago(lag.oldest)]
        });
        let consumers: Vec<_> = consumers.collect();
        let lines = if consumers.is_empty() { vec![none] } else { consumers };
        for (n, [consumer, lag, behind]) in lines.into_iter().enumerate() {
            let [topic, messages, oldest, newest] =
                if n == 0 { head.clone() } else { std::array::from_fn(|_| String::new()) };
            rows.push([topic, messages, oldest, newest, consumer, lag, behind]);
        }
    }
    table(&rows);
    Ok(())
}

pub fn messages(views: &[View], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(views);
    }
    for view in views {
        let key = view.key.as_deref().unwrap_or("-");
        screen::print(&format!("{}  {}  {key}  {}", clock(view.published_at), view.sequence, content(view)));
    }
    Ok(())
}

pub fn letters(letters: &[View], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(letters);
    }
    if letters.is_empty() {
        screen::print("no dead letters");
        return Ok(());
    }
    let mut rows =
        vec![["NUMBER", "TOPIC", "KEY", "COMPONENT", "ATTEMPTS", "SINCE", "WHY"].map(str::to_owned)];
    for letter in letters {
        let header = |name| letter.header(name).unwrap_or("-").to_owned();
        rows.push([
            letter.sequence.to_string(),
            letter.header("x-dead-topic").unwrap_or("timer").to_owned(),
            letter.key.clone().unwrap_or_else(|| "-".to_owned()),
            header("x-dead-component"),
            header("x-dead-attempts"),
            ago(Some(letter.published_at)),
            cut(&header("x-dead-reason")),
        ]);
    }
    table(&rows);
    screen::print("\n→ monopod dlq show NUMBER   |   monopod dlq retry NUMBER");
    Ok(())
}

pub fn one(view: &View, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(std::slice::from_ref(view));
    }
    let header = |name| view.header(name).map(str::to_owned);
    let published = header("x-dead-published-at").and_then(|at| at.parse().ok()).map(clock);
    let last = header("x-dead-reason");
    let lines = [
        ("number", Some(view.sequence.to_string())),
        ("topic", header("x-dead-topic").or_else(|| Some(view.topic.to_string()))),
        ("id", header("x-dead-id").or_else(|| Some(view.id.clone()))),
        ("key", view.key.clone()),
        ("published", published),
        ("dead since", Some(clock(view.published_at))),
        ("component", header("x-dead-component")),
        ("attempts", header("x-dead-attempts")),
        ("first error", header("x-dead-first-reason").or_else(|| last.clone())),
        ("last error", last),
        ("correlation", Some(view.correlation.clone())),
        ("trace", Some(view.trace.clone())),
        ("owner", view.owner.clone()),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            screen::print(&format!("{name:<12} {value}"));
        }
    }
    for (name, value) in view.headers.iter().filter(|(name, _)| !name.starts_with("x-dead-")) {
        screen::print(&format!("{:<12} {name}: {value}", "header"));
    }
    screen::print(&format!("\n{}", view.text.as_ref().or(view.base64.as_ref()).map_or("", String::as_str)));
    Ok(())
}

pub fn replayed(done: &Replayed, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return json(std::slice::from_ref(done));
    }
    let mut text = format!("{} delivered again", done.delivered);
    let also = [
        (done.dropped, "taken away"),
        (done.handled, "handled before (--again delivers those too)"),
        (done.waiting, "waiting anyhow"),
    ];
    for (count, what) in also.into_iter().filter(|(count, _)| *count > 0) {
        text = format!("{text}, {count} {what}");
    }
    screen::print(&text);
    Ok(())
}

fn json<T: Serialize>(values: &[T]) -> anyhow::Result<()> {
    for value in values {
        screen::print(&serde_json::to_string(value)?);
    }
    Ok(())
}

/// Columns as wide as their widest cell; the last one as it is.
fn table<const N: usize>(rows: &[[String; N]]) {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in rows {
        let cells =
            row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        screen::print(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn content(view: &View) -> String {
    match (&view.text, &view.base64) {
        (Some(text), _) => cut(text),
        (None, Some(base64)) => format!("{} bytes, not text", base64.len() / 4 * 3),
        (None, None) => String::new(),
    }
}

fn cut(text: &str) -> String {
    let line: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() { format!("{line}…") } else { line }
}

fn clock(at: Millis) -> String {
    let time = i64::try_from(at / 1_000).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| at.to_string())
}

fn ago(at: Option<Millis>) -> String {
    let Some(at) = at else { return "-".to_owned() };
    let seconds = Duration::from_millis(now().saturating_sub(at)).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}
