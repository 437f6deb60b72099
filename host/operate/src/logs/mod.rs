//! Structured logs on standard error: one line for each event, as JSON for machines or
//! as text for a terminal.
//!
//! Whom an event is about stands in three fields: `component`, `correlation` (the client
//! action) and `trace`. They are taken from the event, or else from the innermost span
//! that has them, whatever the level of the log. Everything else is the event's own.
//!
//! Logging never stops the work: lines go to a thread of their own through a bounded
//! queue; what does not fit is counted and left out, and a closed standard error is no
//! error.

mod fields;
mod layer;
mod line;
mod output;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

pub use output::Guard;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// One line for a person; in colour if standard error is a terminal that wants it
    /// (`NO_COLOR` and its kin are honoured).
    Text,
}

impl Format {
    /// Text on a terminal, JSON elsewhere.
    pub fn for_stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// What to log, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How lines look.
    pub format: Format,
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), and
    /// levels of single rooms, separated by commas: `info,monopod_engine=debug`.
    pub filter: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::for_stderr(), filter: "info".into() }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error(
        "`{filter}` is not a log filter ({reason}): write a level, as in `info` or `info,monopod_engine=debug`"
    )]
    Filter {
        /// What was found.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was set up before.
    #[error("logging is set up already")]
    Twice,
    /// There is no thread to write with.
    #[error("the thread that writes the log could not be started: {0}")]
    Thread(std::io::Error),
}

/// Sets logging up for the whole process. Lines still under way are written when the
/// guard is dropped: keep it until the end of `main`.
pub fn init(settings: Settings) -> Result<Guard, Error> {
    let filter = parse(&settings.filter)?;
    let colour = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    let form = match settings.format {
        Format::Json => line::Form::Json,
        Format::Text => line::Form::Text { colour },
    };
    let (output, guard) =
        output::open(std::io::stderr(), move |lines| lost(form, lines)).map_err(Error::Thread)?;
    let layer = layer::Logs::new(form, filter, std::time::SystemTime::now, output);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::Twice)?;
    Ok(guard)
}

fn lost(form: line::Form, lines: u64) -> String {
    let message = "log lines were left out".to_owned();
    let fields = fields::Fields { message, other: vec![("lines", lines.into())], ..Default::default() };
    line::line(form, std::time::SystemTime::now(), tracing::Level::WARN, module_path!(), &fields)
}

fn parse(filter: &str) -> Result<Targets, Error> {
    // `Targets` takes any word for a target that is to be logged in full.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let unknown = filter.split(',').map(str::trim).find(|part| {
        let level = part.rsplit('=').next().unwrap_or(part);
        !levels.contains(&level.to_ascii_lowercase().as_str())
    });
    let bad = |reason: String| Error::Filter { filter: filter.into(), reason };
    match unknown {
        Some(part) => Err(bad(format!("`{part}` names no level"))),
        None => filter.replace(' ', "").parse().map_err(|error| bad(format!("{error}"))),
    }
}
