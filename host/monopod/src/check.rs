//! `monopod check`: says whether a platform file could start.

use std::process::ExitCode;

use crate::cli::Check;
use crate::{platform, screen};

pub fn run(options: &Check) -> ExitCode {
    let platform = match platform::load(&options.file.file, options.file.bundles.as_deref()) {
        Ok(platform) => platform,
        Err(failed) => {
            failed.print();
            return ExitCode::from(failed.code());
        }
    };
    if options.schema {
        match &platform.schema {
            Some(schema) => screen::print(&schema.sdl()),
            None => screen::warning("schema", "no component adds to one; /graphql answers nothing"),
        }
        return ExitCode::SUCCESS;
    }
    let topics = platform.plan.topics.len();
    screen::line("check", &format!("{} is good", options.file.file.display()));
    for component in &platform.components {
        screen::line("component", &format!("{} {}", component.name, component.version));
    }
    screen::line("topics", &topics.to_string());
    ExitCode::SUCCESS
}
