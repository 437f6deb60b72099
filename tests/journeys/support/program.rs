//! The program run to its end, as a person at a terminal or a script runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// How long a command may take that ends by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `monopod` in a folder. A platform of the suite is not to be found by accident.
pub async fn monopod<A: AsRef<std::ffi::OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Finished {
    let mut command = Command::new(monopod_tests::from_environment("MONOPOD_BIN"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("MONOPOD_TOKEN")
        .env_remove("MONOPOD_LOG")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("it did not end within {PATIENCE:?}: {command:?}")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Finished {
        code: ended.status.code().unwrap_or_else(|| panic!("it was killed: {command:?}")),
        out: text(ended.stdout),
        err: text(ended.stderr),
    }
}

impl Finished {
    /// It could not run: this exit code, and all of these texts in what it says of it.
    #[track_caller]
    pub fn refused(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for text in says {
            assert!(self.err.contains(text), "`{text}` is not in:\n{}", self.err);
        }
    }

    /// Its output as JSON, one object for each line.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}
