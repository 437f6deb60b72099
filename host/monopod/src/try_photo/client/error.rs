//! Why a client did not get what it asked for.

use std::path::PathBuf;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{Response, StatusCode};
use monopod_core::BoxError;
use serde_json::Value;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address of a platform.
    #[error("`{0}` is not the address of a platform")]
    Address(String),
    /// The token holds characters that no token has.
    #[error("this is not a token")]
    Token,
    /// The file with the token cannot be read.
    #[error("the token's file {} cannot be read", .0.display())]
    TokenFile(PathBuf, #[source] std::io::Error),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] monopod_edge::client::Error),
    /// The connection broke.
    #[error("the connection broke while {doing}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// How.
        #[source]
        source: BoxError,
    },
    /// No answer came.
    #[error("no answer came while {doing}")]
    Slow {
        /// What was being done.
        doing: &'static str,
    },
    /// There is no issuer that gives tokens to anybody.
    #[error("this platform has no development issuer")]
    NoIssuer,
    /// The token, or its absence, was refused.
    #[error("the token was refused: {0}")]
    Unauthenticated(String),
    /// The platform understood and said no.
    #[error("refused while {doing}: {}", Refusal::list(refusals))]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// Every reason; at least one.
        refusals: Vec<Refusal>,
    },
    /// An answer that is none of the contract's.
    #[error("the answer while {doing} was {status}{}", said(text))]
    Status {
        /// What was being done.
        doing: &'static str,
        /// The HTTP status.
        status: StatusCode,
        /// What it says, shortened.
        text: String,
    },
    /// An answer of another shape than the contract's.
    #[error("the answer while {doing} was not understood")]
    Unexpected {
        /// What was being done.
        doing: &'static str,
    },
    /// The platform ended the connection on which events come.
    #[error("the platform closed the connection for events ({code}{})", said(reason))]
    Closed {
        /// The WebSocket's close code; 4401 and 4403 are about the token.
        code: u16,
        /// Why, in the platform's words.
        reason: String,
    },
}

/// One reason of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For people.
    pub message: String,
    /// For programs: `UNPROCESSABLE`, `NOT_FOUND`, …
    pub code: Option<String>,
    /// What is wrong with which field.
    pub fields: Vec<(String, String)>,
}

impl Refusal {
    /// The errors of a GraphQL answer.
    pub(super) fn all(answer: &Value) -> Vec<Self> {
        let errors = answer.get("errors").and_then(Value::as_array);
        errors.into_iter().flatten().map(Self::of).collect()
    }

    fn of(error: &Value) -> Self {
        let extensions = error.get("extensions");
        let fields = extensions.and_then(|e| e.get("errors")).and_then(Value::as_object);
        let each = |(field, texts): (&String, &Value)| {
            let texts: Vec<String> =
                texts.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            (field.clone(), texts.join(", "))
        };
        Self {
            message: super::text(error, "message").unwrap_or("no reason was given").to_owned(),
            code: extensions.and_then(|e| super::text(e, "code")).map(str::to_owned),
            fields: fields.into_iter().flatten().map(each).collect(),
        }
    }

    fn list(refusals: &[Self]) -> String {
        let one = |refusal: &Self| {
            let fields: Vec<String> =
                refusal.fields.iter().map(|(field, text)| format!("{field}: {text}")).collect();
            if fields.is_empty() { refusal.message.clone() } else { fields.join("; ") }
        };
        refusals.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// What a 401 says of the token.
pub(super) fn unauthenticated(response: &Response<Bytes>) -> Error {
    let header = response.headers().get(WWW_AUTHENTICATE).and_then(|h| h.to_str().ok());
    let described = header
        .and_then(|h| h.split_once("error_description=\""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(description, _)| description.to_owned());
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let first = || Refusal::all(&body).into_iter().next().map(|refusal| refusal.message);
    Error::Unauthenticated(described.or_else(first).unwrap_or_else(|| "no reason was given".to_owned()))
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
