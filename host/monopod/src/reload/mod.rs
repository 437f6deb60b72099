//! `monopod reload`: asks the running platform, through its admin socket, to read its file and
//! bundles again and to serve what they say now. `serve` is the other side; `fixed` says what
//! cannot be changed so.

mod fixed;
mod serve;

use std::process::ExitCode;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use serve::{Desk, Running, router};

use crate::schema::BREAKING;
use crate::{FAILED, USAGE, cli, screen};

/// The path on the admin socket.
const PATH: &str = "/reload";

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    /// Also if clients break.
    allow_breaking: bool,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Answer {
    outcome: Outcome,
    /// Why nothing was changed, each reason by itself.
    reasons: Vec<String>,
    /// Components, by name.
    added: Vec<String>,
    replaced: Vec<String>,
    removed: Vec<String>,
    /// What the schema changes for clients, as `monopod schema --diff` has it.
    changes: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// What the files say is in place.
    #[default]
    Done,
    /// The files are wrong.
    Mistakes,
    /// It would break clients.
    Breaking,
    /// It needs a start, or could not be done.
    Refused,
}

pub fn run(options: &cli::Reload) -> ExitCode {
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")
        .and_then(|runtime| runtime.block_on(ask(options)));
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => {
            screen::error(&format!("{error:#}"));
            return ExitCode::from(FAILED);
        }
    };
    if options.json {
        screen::print(&serde_json::to_string(&answer).unwrap_or_default());
    } else {
        show(&answer);
    }
    ExitCode::from(match answer.outcome {
        Outcome::Done => 0,
        Outcome::Mistakes => USAGE,
        Outcome::Breaking => BREAKING,
        Outcome::Refused => FAILED,
    })
}

async fn ask(options: &cli::Reload) -> anyhow::Result<Answer> {
    let body = serde_json::to_vec(&Ask { allow_breaking: options.allow_breaking })?;
    let (_, answer) = crate::admin::post(&options.state, PATH, body).await?;
    serde_json::from_slice(&answer).context("the platform's answer cannot be read; is it of this version?")
}

fn show(answer: &Answer) {
    for change in &answer.changes {
        let text = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        screen::line(text("class"), &format!("{} ({})", text("message"), text("kind")));
    }
    for reason in &answer.reasons {
        screen::mistake(reason);
    }
    match answer.outcome {
        Outcome::Done => {}
        Outcome::Breaking => {
            return screen::error(
                "the schema breaks clients of the one that is served. Nothing was changed.\n  \
                 fix: keep what they may ask for, or run it again with --allow-breaking",
            );
        }
        Outcome::Mistakes | Outcome::Refused => return screen::error("Nothing was changed."),
    }
    let mut same = true;
    for (label, names) in
        [("added", &answer.added), ("replaced", &answer.replaced), ("removed", &answer.removed)]
    {
        if !names.is_empty() {
            same = false;
            screen::line(label, &names.join(" "));
        }
    }
    screen::line("reloaded", if same { "all components are those that ran" } else { "in place" });
}
