//! `wasi:logging`: lines of the component's log, with the bounds of what it prints.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::names::LOGGING;
use crate::guest::Guest;

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make them")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl Level {
    /// How a printed line says its level.
    fn word(self) -> &'static str {
        match self {
            Self::Trace | Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error | Self::Critical => "error",
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for version in LOGGING {
        linker.instance(&format!("wasi:logging/logging@{version}"))?.func_wrap(
            "log",
            |store: StoreContextMut<'_, Guest>, (level, context, message): (Level, String, String)| {
                let gap = if context.is_empty() { "" } else { ": " };
                store.data().log(level.word(), &format!("{context}{gap}{message}"));
                Ok(())
            },
        )?;
    }
    Ok(())
}
