//! `make fuzz NAME=loader TIME=10m`: inputs that nobody would write, made by changing ones that
//! somebody did, against what reads them. Runs on the stable compiler, without coverage: what
//! tells that an input was worth keeping is an answer that was not given before.
//!
//! A finding is a panic, an answer that breaks a promise of the target, or none in time. Its
//! input is written below `target/fuzz`, and belongs into the seeds once it is mended.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod change;
mod document;
mod loader;
mod mapping;
mod platform;
mod response;
mod run;
mod schema;

use std::process::ExitCode;
use std::time::Duration;

use run::Target;

/// How a target is made.
type Make = fn() -> Box<dyn Target>;

/// How long when `TIME` does not say.
const TIME: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let time = match std::env::var("TIME").ok().filter(|time| !time.is_empty()) {
        None => TIME,
        Some(text) => match duration(&text) {
            Some(time) => time,
            None => {
                eprintln!("TIME is a number with s, m or h, as in 10m; not {text:?}");
                return ExitCode::from(64);
            }
        },
    };
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all: [(&str, Make); 7] = [
        ("loader", || Box::new(loader::Loader::new())),
        ("response", || Box::new(response::Responses::new())),
        ("platform", || Box::new(platform::Platforms::new())),
        ("schema", || Box::new(schema::Schemas::new())),
        ("document", || Box::new(document::Documents::new())),
        ("selection", || Box::new(mapping::Selections::new())),
        ("template", || Box::new(mapping::Templates::new())),
    ];
    if let Some(unknown) = wanted.iter().find(|name| all.iter().all(|(known, _)| known != name)) {
        let known: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no target `{unknown}`. There are: {}", known.join(" "));
        return ExitCode::from(64);
    }
    let mut good = true;
    for (name, make) in all {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            good &= run::run(name, make().as_mut(), time);
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}
