//! `monopod state`: back-ups of the state folder, made while the platform runs or not.

use std::process::ExitCode;

use monopod_core::size::Size;
use monopod_state::{Backup, BackupError};

use crate::cli::State;
use crate::{FAILED, screen};

pub fn run(command: &State) -> ExitCode {
    let (done, json) = match command {
        State::Export { to, at } => {
            let done = monopod_state::export(&at.state, to);
            (done.map(|backup| (format!("{} is in {}", told(&backup), to.display()), backup)), at.json)
        }
        State::Import { from, at } => {
            let done = monopod_state::import(from, &at.state);
            let text = |backup: &Backup| {
                format!("{} is verified and in place in {}", told(backup), at.state.display())
            };
            (done.map(|backup| (text(&backup), backup)), at.json)
        }
        State::Verify { folder, json } => {
            let done = monopod_state::verify(folder);
            (done.map(|backup| (format!("{} is whole", told(&backup)), backup)), *json)
        }
    };
    match done {
        Ok((_, backup)) if json => {
            screen::print(&serde_json::json!(backup).to_string());
            ExitCode::SUCCESS
        }
        Ok((text, _)) => {
            screen::print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen::error(&chain(&error));
            ExitCode::from(FAILED)
        }
    }
}

/// What a back-up or a state holds, in one line.
fn told(backup: &Backup) -> String {
    let rows = |table: &str| backup.rows.get(table).copied().unwrap_or_default();
    let blobs = backup.files.keys().filter(|path| path.starts_with("blobs/")).count();
    let files = match backup.files.len() {
        0 => String::new(),
        _ => format!(", {blobs} blobs, {}", Size::bytes(backup.size())),
    };
    format!(
        "{} values, {} messages ({} waiting), {} timers{files}, format {}",
        rows("kv"),
        rows("messages"),
        rows("deliveries"),
        rows("timers"),
        backup.format,
    )
}

fn chain(error: &BackupError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
