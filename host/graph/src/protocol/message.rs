//! The messages of `graphql-transport-ws` and its close codes.

use axum::extract::ws::CloseFrame;

use super::operation::Params;
use crate::error::{Failure, write_list};
use crate::json::{self, Json};

/// The subprotocol. The older `graphql-ws` has other messages and is refused.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";
/// The longest operation id, in bytes: clients send a UUID or a number.
const MAX_ID: usize = 128;

/// Why a socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The server is going down; another may take over.
    GoingAway,
    /// A message above the size limit.
    TooLarge,
    /// Events came faster than the client took them.
    TooSlow,
    /// The client shows no sign of life.
    Silent,
    /// A token cannot be verified at the moment.
    TryAgain,
    /// Not a message of the protocol.
    Invalid,
    /// An operation before the connection was acknowledged.
    Unauthorized,
    /// The token was refused.
    Forbidden,
    /// The token was good and has ended.
    Expired,
    /// Not this subprotocol.
    Subprotocol,
    /// No `connection_init` in time.
    InitTimeout,
    /// An id that is in use.
    Duplicate,
    /// A second `connection_init`.
    SecondInit,
    /// The client has gone: there is nobody to tell.
    Gone,
}

impl Close {
    /// Code and reason.
    pub fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::GoingAway => (1001, "Going away"),
            Self::TooLarge => (1009, "Message too big"),
            Self::TooSlow => (1013, "Too slow: events were lost, subscribe again"),
            Self::TryAgain => (1013, "The token cannot be verified now, try again later"),
            Self::Silent => (3008, "No sign of life"),
            Self::Invalid => (4400, "Invalid message"),
            Self::Unauthorized => (4401, "Unauthorized"),
            Self::Forbidden => (4403, "Forbidden"),
            Self::Expired => (4403, "The token has expired"),
            Self::Subprotocol => (4406, "Subprotocol not acceptable"),
            Self::InitTimeout => (4408, "Connection initialisation timeout"),
            Self::Duplicate => (4409, "Subscriber for this id already exists"),
            Self::SecondInit => (4429, "Too many initialisation requests"),
            Self::Gone => (1000, ""),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

/// What a client sends.
#[derive(Debug)]
pub enum Incoming {
    /// With the token, if there is one.
    Init(Token),
    /// With the payload, if there is one.
    Ping(Option<Json<'static>>),
    /// Passed over.
    Pong,
    /// An operation, or what is wrong with its parameters.
    Subscribe(String, Result<Params<'static>, Failure>),
    /// The end of an operation.
    Complete(String),
}

/// What `connection_init` says about who connects.
#[derive(Debug, PartialEq, Eq)]
pub enum Token {
    /// Nothing.
    Absent,
    /// A bearer token.
    Bearer(String),
    /// Something else.
    Unusable,
}

impl Incoming {
    /// Reads a message; none if it is not one of the protocol.
    pub fn read(text: &str) -> Option<Self> {
        let message = Json::parse(text.as_bytes()).ok()?;
        let payload = message.get("payload").filter(|payload| !payload.is_null());
        let object = payload.is_none_or(|payload| matches!(payload, Json::Object(_)));
        let id = || {
            let id = message.get("id").and_then(Json::as_str)?;
            (!id.is_empty() && id.len() <= MAX_ID).then(|| id.to_owned())
        };
        match message.get("type").and_then(Json::as_str)? {
            "connection_init" if object => Some(Self::Init(payload.map_or(Token::Absent, token))),
            "ping" if object => Some(Self::Ping(payload.cloned().map(Json::into_owned))),
            "pong" if object => Some(Self::Pong),
            "subscribe" if object => {
                let payload = payload?;
                // Without a document it is no message at all; other types are told apart.
                let text = |key| payload.get(key).and_then(Json::as_str);
                let persisted = payload.get("extensions").and_then(|more| more.get("persistedQuery"));
                if persisted.is_none() {
                    text("query").or_else(|| text("documentId"))?;
                }
                Some(Self::Subscribe(id()?, Params::read(payload.clone().into_owned())))
            }
            "complete" => Some(Self::Complete(id()?)),
            _ => None,
        }
    }
}

/// The token of `connection_init`: `Authorization`, in any case, at the top or in `headers`.
fn token(payload: &Json<'_>) -> Token {
    let find = |json: &Json<'_>, name: &str| match json {
        Json::Object(entries) => entries
            .iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone().into_owned()),
        _ => None,
    };
    let nested = || find(payload, "headers").and_then(|headers| find(&headers, "authorization"));
    match find(payload, "authorization").or_else(nested) {
        None | Some(Json::Null) => Token::Absent,
        Some(Json::String(text)) => match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
                Token::Bearer(token.trim().to_owned())
            }
            _ => Token::Unusable,
        },
        Some(_) => Token::Unusable,
    }
}

/// `connection_ack`.
pub const ACK: &str = r#"{"type":"connection_ack"}"#;

/// `pong` with the payload of the ping, as the reference implementation answers.
pub fn pong(payload: Option<&Json<'_>>) -> Vec<u8> {
    let mut out = br#"{"type":"pong""#.to_vec();
    if let Some(payload) = payload {
        out.extend_from_slice(b",\"payload\":");
        payload.write(&mut out);
    }
    out.push(b'}');
    out
}

fn with_id(kind: &str, id: &str, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"id\":");
    json::write_str(&mut out, id);
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
    payload(&mut out);
    out.push(b'}');
    out
}

/// `next` with a response.
pub fn next(id: &str, response: &[u8]) -> Vec<u8> {
    with_id("next", id, |out| {
        out.extend_from_slice(b",\"payload\":");
        out.extend_from_slice(response);
    })
}

/// `error`: the operation was not begun.
pub fn error(id: &str, failures: &[Failure]) -> Vec<u8> {
    with_id("error", id, |out| {
        out.extend_from_slice(b",\"payload\":");
        write_list(failures, out);
    })
}

/// `complete`.
pub fn complete(id: &str) -> Vec<u8> {
    with_id("complete", id, |_| {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_wherever_clients_put_it() {
        let bearer = |text: &str| Token::Bearer(text.to_owned());
        for (payload, expected) in [
            (r"{}", Token::Absent),
            (r#"{"Authorization":"Bearer x"}"#, bearer("x")),
            (r#"{"authorization":"bearer  x "}"#, bearer("x")),
            (r#"{"headers":{"AUTHORIZATION":"Bearer x"}}"#, bearer("x")),
            (r#"{"authorization":null}"#, Token::Absent),
            (r#"{"authorization":"Basic x"}"#, Token::Unusable),
            (r#"{"authorization":"x"}"#, Token::Unusable),
            (r#"{"authorization":7}"#, Token::Unusable),
        ] {
            assert_eq!(token(&Json::parse(payload.as_bytes()).unwrap()), expected, "{payload}");
        }
    }

    #[test]
    fn what_is_not_a_message_is_none() {
        for text in [
            "",
            "7",
            "[]",
            r#"{"type":"start","id":"1"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"ping","payload":"x"}"#,
            r#"{"type":"connection_init","payload":[]}"#,
        ] {
            assert!(Incoming::read(text).is_none(), "{text}");
        }
    }
}
