//! `monopod bundle` packs a component folder; `monopod copy` copies a bundle.

use std::process::ExitCode;

use crate::cli::{Bundle, Copy};
use crate::screen;

pub fn run(options: &Bundle) -> ExitCode {
    // Its manifest is checked first: a bundle that no platform would take is not made.
    let file = options.component.join("component.toml");
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            if let Err(mistakes) = monopod_config::Manifest::parse(&file.display().to_string(), &text) {
                crate::platform::Failed::Mistakes(mistakes).print();
                return ExitCode::from(crate::USAGE);
            }
        }
        Err(error) => {
            screen::error(&format!(
                "{}: {error}\n  fix: name a folder with a component.toml",
                file.display()
            ));
            return ExitCode::from(crate::FAILED);
        }
    }
    let built = monopod_bundle::build(&options.component, &options.wasm, &options.out);
    told(built.map(|built| (built.name, built.size, built.digest)))
}

pub fn copy(options: &Copy) -> ExitCode {
    let copied = monopod_bundle::copy(&options.from, &options.to);
    told(copied.map(|bundle| (bundle.name, bundle.size, bundle.digest)))
}

/// Says what came of it: name, size and digest of a bundle.
fn told(result: Result<(String, u64, String), monopod_bundle::Error>) -> ExitCode {
    match result {
        Ok((name, size, digest)) => {
            let size = monopod_core::size::Size::bytes(size);
            screen::line("bundle", &format!("{name} {size} {digest}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen::error(&error.diagnostic().to_string());
            ExitCode::from(crate::FAILED)
        }
    }
}
