//! `monopod bundle`: packs a component folder.

use std::process::ExitCode;

use crate::cli::Bundle;
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
    match monopod_bundle::build(&options.component, &options.wasm, &options.out) {
        Ok(built) => {
            let size = monopod_core::size::Size::bytes(built.size);
            screen::line("bundle", &format!("{} {size} {}", built.name, built.digest));
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen::error(&error.diagnostic().to_string());
            ExitCode::from(crate::FAILED)
        }
    }
}
