//! `wasi:otel`: spans and log records of a component become lines of its log, with the trace of
//! the call. Read without fixed types, since each draft has shaped its records a little
//! differently; what is not found in one is left out. Metrics are not offered: nothing here would
//! keep them.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Val};

use super::names::OTEL;
use crate::guest::Guest;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for version in OTEL {
        linker.instance(&format!("wasi:otel/types@{version}"))?;
        let mut tracing = linker.instance(&format!("wasi:otel/tracing@{version}"))?;
        tracing.func_new("on-start", |_, _, _, _| Ok(()))?;
        tracing.func_new("on-end", |store: StoreContextMut<'_, Guest>, _, params, _| {
            if let [span, ..] = params {
                store.data().log("debug", &ended(span));
            }
            Ok(())
        })?;
        for name in ["current-span-context", "outer-span-context"] {
            tracing.func_new(name, |store: StoreContextMut<'_, Guest>, _, _, results| {
                if let [result, ..] = results {
                    *result = context(store.data());
                }
                Ok(())
            })?;
        }
        let mut logs = linker.instance(&format!("wasi:otel/logs@{version}"))?;
        logs.func_new("on-emit", |store: StoreContextMut<'_, Guest>, _, params, _| {
            if let [record, ..] = params {
                store.data().log(severity(record), text(field(record, "body")).unwrap_or_default());
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The call as a span that the component's own spans can have as their parent.
fn context(guest: &Guest) -> Val {
    let record = |fields: [(&str, Val); 5]| {
        Val::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    // 00-<trace>-<span>-<flags>
    let parent = guest.context.trace.traceparent();
    let parent = std::str::from_utf8(&parent).unwrap_or_default();
    let span = parent.split('-').nth(2).unwrap_or_default();
    record([
        ("trace-id", Val::String(guest.context.trace.to_string())),
        ("span-id", Val::String(span.to_owned())),
        ("trace-flags", Val::Flags(vec!["sampled".to_owned()])),
        ("is-remote", Val::Bool(true)),
        ("trace-state", Val::List(Vec::new())),
    ])
}

fn ended(span: &Val) -> String {
    let name = text(field(span, "name")).unwrap_or("?");
    let time = |name| nanos(field(span, name));
    let micros = match (time("start-time"), time("end-time")) {
        (Some(start), Some(end)) => end.saturating_sub(start) / 1_000,
        _ => 0,
    };
    let failed = match field(span, "status") {
        Some(Val::Variant(case, why)) if case == "error" => {
            format!(", failed: {}", text(why.as_deref()).unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("span {name} took {micros} us{failed}")
}

/// The level of a log record: its number is 1 to 24, four for each level from trace to fatal.
fn severity(record: &Val) -> &'static str {
    let number = match some(field(record, "severity-number")) {
        Some(Val::U8(number)) => *number,
        _ => 9,
    };
    match number {
        0..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        _ => "error",
    }
}

fn field<'a>(record: &'a Val, name: &str) -> Option<&'a Val> {
    let Val::Record(fields) = record else { return None };
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

/// What is in an option; anything else is itself.
fn some(value: Option<&Val>) -> Option<&Val> {
    match value {
        Some(Val::Option(inner)) => inner.as_deref(),
        other => other,
    }
}

fn text(value: Option<&Val>) -> Option<&str> {
    match some(value) {
        Some(Val::String(text)) => Some(text),
        _ => None,
    }
}

fn nanos(datetime: Option<&Val>) -> Option<u64> {
    let datetime = datetime?;
    match (field(datetime, "seconds")?, field(datetime, "nanoseconds")?) {
        (Val::U64(seconds), Val::U32(nanos)) => {
            Some(seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(*nanos)))
        }
        _ => None,
    }
}
