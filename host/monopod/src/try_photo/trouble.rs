//! Why a photo could not be tried, in words for people, with the fix.

use std::error::Error as _;
use std::time::Duration;

use monopod_edge::client::Error as Connect;

use super::client::Error;

/// What went wrong, and what to do.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) fix: String,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// The time is up.
pub(super) fn too_slow(after: Duration) -> Trouble {
    let what = format!("no result within {} s", after.as_secs_f64());
    Trouble::new(what, "an upload that was confirmed is analysed all the same; give more time with --timeout")
}

/// What a client's error means for the person at the keyboard.
pub(super) fn of(error: &Error, url: &str) -> Trouble {
    let fix = match error {
        Error::Address(_) => "write --url https://host:port; http only for this machine".to_owned(),
        Error::Token => "give the token alone, in one line, without `Bearer`".to_owned(),
        Error::TokenFile(..) => "name a file that holds the token alone with --token-file".to_owned(),
        Error::Connect(Connect::Connect(..) | Connect::Slow(_)) => {
            "start the platform with `make run`, or name another with --url".to_owned()
        }
        Error::Connect(Connect::Untrusted(..)) => {
            "name the platform's certificate: --ca .monopod/edge/ca.pem (in its state folder)".to_owned()
        }
        Error::Connect(Connect::Trust(_)) => "name a PEM file of certificates with --ca".to_owned(),
        Error::Connect(_) => "write --url https://host:port".to_owned(),
        Error::NoIssuer => "give a token of its issuer with --token or MONOPOD_TOKEN".to_owned(),
        Error::Unauthenticated(_) => "give a valid token with --token or MONOPOD_TOKEN".to_owned(),
        Error::Refused { refusals, .. } => {
            let forbidden = |code: &str| matches!(code, "FORBIDDEN" | "UNAUTHENTICATED");
            if refusals.iter().any(|refusal| refusal.code.as_deref().is_some_and(forbidden)) {
                "the token needs the scope `analysis`".to_owned()
            } else {
                "the platform's log says more, under the same correlation id".to_owned()
            }
        }
        Error::Status { .. } | Error::Unexpected { .. } => {
            format!("is {url} a monopod of this version? Its log says more")
        }
        Error::Broken { .. } | Error::Slow { .. } | Error::Closed { .. } => {
            "see in the platform's log whether it is still there, and try again".to_owned()
        }
    };
    Trouble::new(with_cause(error), fix)
}

/// The error and its causes, down to the system's own word. What a cause repeats is
/// said once.
fn with_cause(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = deeper.source();
    }
    text
}
