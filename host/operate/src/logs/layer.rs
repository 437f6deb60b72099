//! Joins `tracing` with the lines: keeps of each span whom it is about, and makes a line
//! of each event that passes the filter.

use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{ABOUT, About, Fields};
use super::line::{Form, line};
use super::output::Output;

/// The least important level whose spans are kept. Whom a warning is about stands in
/// spans of level `info`, so they are kept whatever the filter says of events.
const SPANS: Level = Level::INFO;

pub(super) struct Logs {
    form: Form,
    filter: Targets,
    clock: fn() -> SystemTime,
    output: Output,
}

impl Logs {
    pub(super) fn new(form: Form, filter: Targets, clock: fn() -> SystemTime, output: Output) -> Self {
        Self { form, filter, clock, output }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            // A span that says nothing of what is logged costs nothing.
            *metadata.level() <= SPANS && ABOUT.iter().any(|name| metadata.fields().field(name).is_some())
        } else {
            self.filter.would_enable(metadata.target(), metadata.level())
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logs {
    // Asked once for each place in the code: nothing here depends on the moment.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let spans = LevelFilter::from_level(SPANS);
        let events = self.filter.iter().map(|(_, level)| level).chain(self.filter.default_level()).max();
        Some(events.map_or(spans, |events| events.max(spans)))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut about = About::default();
        attributes.record(&mut about);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(about);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(about) = span.extensions_mut().get_mut::<About>()
        {
            values.record(about);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            if extensions.get::<About>().is_some_and(|about| fields.about.complete(about)) {
                break;
            }
        }
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target());
        self.output.line(line(self.form, (self.clock)(), level, target, &fields));
    }
}
