//! The platform file and the components' manifests: TOML in, validated values out.
//!
//! Called by the binary, before anything starts. All mistakes of a file are found in
//! one reading and returned as [`Diagnostic`]s with line, column and the fix. The
//! sections below are the only list of keys there is: reading, defaults, the "did you
//! mean" of an unknown key and the JSON Schema all come from them.
//!
//! This room reads the one file it is asked to read and nothing else: it opens no
//! bundle, binds no address and starts nothing.

mod brokers;
mod check;
mod instances;
mod manifest;
mod needs;
mod plan;
mod platform;
mod report;
mod section;
mod syntax;
mod value;
mod words;

use std::path::Path;

use monopod_core::diagnostic::Diagnostic;

pub use manifest::{Manifest, Setting, schema as manifest_schema};
pub use needs::{Settings, check_needs, variable};
pub use plan::{
    Admin, Backend, Broker, Component, Edge, Graphql, Identity, Plan, Policy, Service, Tls, Topic,
};
pub use platform::{STATE, schema};

/// The largest file that is read, in bytes: a platform of a thousand components fits.
pub const MAX_FILE: usize = 1 << 20;

/// Reads and validates a platform file.
pub fn load(path: &Path) -> Result<Plan, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let whole = |message: String, help: &str| {
        vec![Diagnostic { file: file.clone(), place: None, message, help: Some(help.to_owned()) }]
    };
    let bytes = std::fs::read(path).map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => whole(
            "there is no such file".into(),
            "name the platform file, for example components/trackunit.toml",
        ),
        std::io::ErrorKind::IsADirectory => whole(
            "this is a folder".into(),
            "name the platform file in it, for example components/trackunit.toml",
        ),
        _ => whole(format!("the file cannot be read: {why}"), "look at its permissions"),
    })?;
    if bytes.len() > MAX_FILE {
        return Err(whole(
            format!("the file has {} bytes; at most {MAX_FILE} are read", bytes.len()),
            "is this the platform file?",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|why| {
        let at = why.utf8_error().valid_up_to();
        whole(format!("the file is not UTF-8 (byte {at})"), "save it as UTF-8")
    })?;
    parse(&file, &text)
}

/// Validates the text of a platform file. `file` is how messages call it; relative
/// paths in it are relative to that file's folder. Reads nothing.
pub fn parse(file: &str, text: &str) -> Result<Plan, Vec<Diagnostic>> {
    let mut report = report::Report::new(file, text);
    let raw = report.document::<platform::File>(text);
    let plan = check::plan(&raw, &mut report);
    report.finish(plan)
}
