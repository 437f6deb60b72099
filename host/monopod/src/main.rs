//! `monopod`: the command line and the wiring, nothing else.

mod admin;
mod bundle;
mod carry;
mod check;
mod cli;
mod grants;
mod live;
mod platform;
mod ps;
mod reload;
mod schema;
mod screen;
mod seen;
mod state;
mod telemetry;
mod topics;
mod try_photo;
mod up;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Command, Options};

// So that memory behaves alike with every libc. Speed is that of glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line or a file that people write is wrong (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;
/// It could not be started, or could not be run.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // What cannot be printed cannot be told.
            let _lost = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    match options.command {
        Command::Up(options) => up::run(&options),
        Command::Reload(options) => reload::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Try(options) => try_photo::run(&options),
        Command::Schema(options) => schema::run(&options),
        Command::Grants(options) => grants::run(&options),
        Command::Ps(options) => ps::run(&options),
        Command::Bundle(options) => bundle::run(&options),
        Command::Copy(options) => bundle::copy(&options),
        Command::Carry(options) => carry::run(&options),
        Command::Topics(options) => topics::run(&topics::Command::List(&options)),
        Command::Tail(options) => topics::run(&topics::Command::Tail(&options)),
        Command::Publish(options) => topics::run(&topics::Command::Publish(&options)),
        Command::Dlq(options) => topics::run(&topics::Command::Dead(&options)),
        Command::Replay(options) => topics::run(&topics::Command::Replay(&options)),
        Command::Seek(options) => topics::run(&topics::Command::Seek(&options)),
        Command::State(command) => state::run(&command),
    }
}
