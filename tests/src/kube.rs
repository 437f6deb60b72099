//! Helm and kubectl, and what they say. The task program starts the cluster and names them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// No test waits longer than this for anything of a cluster.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions.
pub const LOOK: Duration = Duration::from_millis(200);

/// What a program said, and whether it was content.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended well.
    pub ok: bool,
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

/// The chart.
pub fn chart() -> PathBuf {
    crate::checkout().join("charts/monopod")
}

/// Helm with these arguments.
pub fn helm(arguments: &[&str]) -> Said {
    ask(Command::new(crate::from_environment("MONOPOD_HELM")).args(arguments))
}

/// kubectl with these arguments.
pub fn kubectl(arguments: &[&str]) -> Said {
    ask(Command::new(crate::from_environment("MONOPOD_KUBECTL")).args(arguments))
}

/// The host's own command line.
pub fn monopod(arguments: &[&str]) -> Said {
    ask(Command::new(crate::from_environment("MONOPOD_BIN")).args(arguments))
}

/// Any program.
pub fn ask(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    /// The output of a program that has to succeed here.
    pub fn good(self) -> String {
        assert!(self.ok, "{}\n{}", self.err, self.out);
        self.out
    }

    /// The complaint of a program that has to fail here.
    pub fn bad(self) -> String {
        assert!(!self.ok, "it succeeded:\n{}", self.out);
        self.err
    }

    /// The output as JSON.
    pub fn json(self) -> Value {
        let text = self.good();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// Writes text to a file that lives as long as the answer.
pub fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Asks until there is an answer.
#[expect(clippy::disallowed_methods, reason = "the state of a cluster, asked through its clients")]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
}
