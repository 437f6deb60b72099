//! The status as a table for a terminal: what `monopod ps` prints.

use anstyle::{AnsiColor, Style};

use crate::status::{Component, Status};

const HEAD: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// Between two columns.
const GAP: &str = "  ";

struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    fn when(self, style: Style, wanted: bool) -> Self {
        if wanted { Self { style, ..self } } else { self }
    }
}

/// The columns: their heads, and whether they end (numbers) or begin (words) together.
const COLUMNS: [(&str, bool); 11] = [
    ("COMPONENT", false),
    ("VERSION", false),
    ("STATE", false),
    ("CALLS/S", true),
    ("ERR", true),
    ("P50", true),
    ("P99", true),
    ("CPU", true),
    ("MEM", true),
    ("INST", true),
    ("LANES", false),
];

/// The lines. With colours: whoever prints them leaves those out where they do not belong.
pub fn lines(status: &Status) -> Vec<String> {
    let head: Vec<Cell> =
        COLUMNS.iter().map(|(name, _)| Cell { text: (*name).into(), style: HEAD }).collect();
    let rows: Vec<Vec<Cell>> = std::iter::once(head).chain(status.components.iter().map(row)).collect();
    let wide = |at: usize| {
        rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(wide).collect();
    let line = |row: &Vec<Cell>| {
        let cells = row.iter().zip(&widths).zip(&COLUMNS).map(|((cell, width), (_, right))| {
            let pad = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let Cell { text, style } = cell;
            let text = format!("{style}{text}{style:#}");
            if *right { format!("{pad}{text}") } else { format!("{text}{pad}") }
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.push(String::new());
    lines.extend(facts(status));
    lines
}

fn row(c: &Component) -> Vec<Cell> {
    let state = match c.retry_after {
        Some(wait) => format!("open {}", time(wait)),
        None => c.state.clone(),
    };
    let waiting = if c.waiting > 0 { format!("+{}", c.waiting) } else { String::new() };
    vec![
        Cell::new(&c.name),
        Cell::new(&c.version),
        Cell::new(state).when(BAD, c.state == "open").when(ODD, c.state == "half-open"),
        Cell::new(rate(c.calls_per_second)),
        Cell::new(c.failures.to_string()).when(BAD, c.failures > 0),
        Cell::new(c.p50.map_or("-".into(), time)),
        Cell::new(c.p99.map_or("-".into(), time)),
        Cell::new(format!("{:.0}%", c.cpu * 100.0)),
        Cell::new(size(c.memory_most)),
        Cell::new(format!("{}{waiting}/{}", c.running, c.places)).when(ODD, c.waiting > 0),
        Cell::new(c.lag.map_or("-".into(), |lag| format!("{lag} lag"))),
    ]
}

/// What concerns no single component.
fn facts(status: &Status) -> Vec<String> {
    let Status { state, messages, .. } = status;
    let mut lines = Vec::new();
    let mut say = |label: &str, facts: Vec<String>| {
        lines.push(format!("{HEAD}{label:<9}{HEAD:#} {}", facts.join(" · ")));
    };
    say(
        "platform",
        vec![
            status.platform.clone(),
            format!("up {}", time(status.uptime)),
            size(status.memory),
            format!("{:.0}% CPU", status.cpu * 100.0),
            format!("{DIM}figures of the last {}{DIM:#}", time(status.window)),
        ],
    );
    let mut facts = vec![format!("{} units/s", rate(state.units_per_second))];
    facts.extend(state.units_per_fsync.map(|units| format!("{} per fsync", rate(units))));
    facts.push(format!("queue {}", grouped(state.queue)));
    facts.push(format!("log {}", size(state.log)));
    if state.failures > 0 {
        facts.push(format!("{BAD}{} writes failed{BAD:#}", grouped(state.failures)));
    }
    say("state", facts);
    let mut facts =
        vec![format!("{}/s", rate(messages.per_second)), format!("lag {}", grouped(messages.lag))];
    facts.extend(messages.oldest.map(|oldest| format!("oldest {}", time(oldest))));
    facts.push(format!("timers {}/s", rate(messages.timers_per_second)));
    facts.push(format!("subscriptions {}", grouped(messages.watchers)));
    facts.push(match messages.dead_letters {
        0 => "dead letters 0".to_owned(),
        n => format!("{ODD}dead letters {}{ODD:#}", grouped(n)),
    });
    say("messages", facts);
    for (at, field) in status.fields.iter().enumerate() {
        let mut facts = vec![
            format!("{} by {}", field.name, field.component),
            format!("{} calls/s", rate(field.calls_per_second)),
        ];
        facts.extend(field.mean.map(time));
        facts.push(format!("{} values/s", rate(field.values_per_second)));
        facts.push(format!("cost {}", grouped(field.cost)));
        if field.errors > 0 {
            facts.push(format!("{BAD}{} errors{BAD:#}", grouped(field.errors)));
        }
        say(if at == 0 { "fields" } else { "" }, facts);
    }
    for broker in &status.brokers {
        let mut facts = vec![broker.name.clone()];
        facts.extend(broker.lines.iter().map(|line| match &line.why {
            None => format!("{} {} {}", line.side, line.state, time(line.since)),
            Some(why) => format!("{BAD}{} {} {}{BAD:#}: {why}", line.side, line.state, time(line.since)),
        }));
        facts.push(format!("sent {}", grouped(broker.sent)));
        facts.push(format!("taken {}", grouped(broker.taken)));
        facts.push(format!("waiting {}", grouped(broker.waiting)));
        facts.extend(broker.oldest.map(|oldest| format!("oldest {}", time(oldest))));
        say("broker", facts);
    }
    for c in &status.components {
        let words = |counts: &[crate::status::Count]| -> Vec<String> {
            counts.iter().map(|count| format!("{} ×{}", count.name, grouped(count.count))).collect()
        };
        if !c.reasons.is_empty() {
            say("errors", vec![format!("{}: {}", c.name, words(&c.reasons).join(", "))]);
        }
        if !c.limits.is_empty() {
            let hint = format!("{DIM}see docs/limits.md{DIM:#}");
            say("limits", vec![format!("{}: {}", c.name, words(&c.limits).join(", ")), hint]);
        }
    }
    lines
}

/// `0.2ms`, `38ms`, `1.2s`, `4m10s`, `3h12m`, `5d2h`.
pub(crate) fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 if seconds < 0.000_000_5 => "0ms".into(),
        0 if seconds < 0.009_95 => format!("{:.1}ms", (seconds * 1e3).max(0.1)),
        0 if seconds < 0.999_5 => format!("{:.0}ms", seconds * 1e3),
        0..10 => format!("{seconds:.1}s"),
        10..60 => format!("{whole}s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h{:02}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d{}h", whole / 86_400, whole / 3_600 % 24),
    }
}

/// `41.2`, `8,120`.
pub(crate) fn rate(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { grouped(value.round() as u64) }
}

/// `8,120`.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `34 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} KB", bytes / 1_000),
        1_000_000..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Broker, Count, Field, Line, Messages, State};

    #[test]
    fn figures_are_written_as_people_read_them() {
        for (seconds, said) in [
            (0.0, "0ms"),
            (0.000_004, "0.1ms"),
            (0.0002, "0.2ms"),
            (0.0019, "1.9ms"),
            (0.038, "38ms"),
            (0.9996, "1.0s"),
            (1.24, "1.2s"),
            (59.0, "59s"),
            (250.0, "4m10s"),
            (11_520.0, "3h12m"),
            (450_000.0, "5d5h"),
        ] {
            assert_eq!(time(seconds), said);
        }
        assert_eq!((rate(0.04), rate(41.23), rate(8_119.7)), ("0.0".into(), "41.2".into(), "8,120".into()));
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(
            (size(0), size(2_500_000), size(34_000_000)),
            ("0 B".into(), "2.5 MB".into(), "34 MB".into())
        );
    }

    #[test]
    fn columns_stand_under_one_another_and_trouble_is_said() {
        let good = Component {
            name: "ingestion".into(),
            version: "1.2.0".into(),
            state: "serving".into(),
            calls_per_second: 41.2,
            p50: Some(0.0004),
            p99: Some(0.0019),
            cpu: 0.03,
            memory_most: 2_000_000,
            running: 1,
            places: 8,
            ..Component::default()
        };
        let bad = Component {
            name: "vision-adapter".into(),
            state: "open".into(),
            retry_after: Some(12.0),
            failures: 2,
            reasons: vec![Count { name: "trapped".into(), count: 2 }],
            limits: vec![Count { name: "memory".into(), count: 1_000 }],
            waiting: 3,
            lag: Some(3),
            ..good.clone()
        };
        let status = Status {
            platform: "tu".into(),
            uptime: 90.0,
            window: 60.0,
            components: vec![good, bad],
            state: State { units_per_second: 8_120.0, units_per_fsync: Some(31.0), ..State::default() },
            messages: Messages { dead_letters: 1, ..Messages::default() },
            brokers: vec![Broker {
                name: "rabbitmq".into(),
                lines: vec![
                    Line {
                        side: "giving".into(),
                        state: "blocked".into(),
                        since: 4.0,
                        why: Some("low on disk".into()),
                    },
                    Line { side: "taking".into(), state: "up".into(), since: 90.0, why: None },
                ],
                sent: 1_234,
                taken: 5,
                waiting: 3,
                oldest: Some(4.0),
            }],
            fields: vec![Field {
                name: "Query.upload".into(),
                component: "ingestion".into(),
                calls_per_second: 41.2,
                mean: Some(0.0019),
                values_per_second: 80.0,
                errors: 2,
                bytes: 1_000,
                cost: 4_800,
            }],
            ..Status::default()
        };
        let text = anstream::adapter::strip_str(&lines(&status).join("\n")).to_string();
        let expected = "\
COMPONENT       VERSION  STATE     CALLS/S  ERR    P50    P99  CPU     MEM   INST  LANES
ingestion       1.2.0    serving      41.2    0  0.4ms  1.9ms   3%  2.0 MB    1/8  -
vision-adapter  1.2.0    open 12s     41.2    2  0.4ms  1.9ms   3%  2.0 MB  1+3/8  3 lag

platform  tu · up 1m30s · 0 B · 0% CPU · figures of the last 1m00s
state     8,120 units/s · 31.0 per fsync · queue 0 · log 0 B
messages  0.0/s · lag 0 · timers 0.0/s · subscriptions 0 · dead letters 1
fields    Query.upload by ingestion · 41.2 calls/s · 1.9ms · 80.0 values/s · cost 4,800 · 2 errors
broker    rabbitmq · giving blocked 4.0s: low on disk · taking up 1m30s · sent 1,234 · taken 5 · waiting 3 · oldest 4.0s
errors    vision-adapter: trapped ×2
limits    vision-adapter: memory ×1,000 · see docs/limits.md";
        assert_eq!(text, expected);
    }
}
