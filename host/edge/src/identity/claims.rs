//! What is read out of a token once it is believed.

use std::sync::Arc;

use monopod_core::identity::{Owner, Refused, User};
use serde::Deserialize;
use serde_json::{Number, Value};

/// The longest subject; RFC 7519 knows no bound, OpenID Connect's is 255.
const MAX_SUBJECT: usize = 255;
/// The most scopes and the longest name: what goes into every context is small.
const MAX_SCOPES: usize = 256;
const MAX_NAME: usize = 200;

/// The claims in use. `iss`, `aud`, `exp` and `nbf` are also checked by `jsonwebtoken`.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    exp: Number,
    scp: Option<Scopes>,
    scope: Option<Scopes>,
    name: Option<Value>,
    preferred_username: Option<Value>,
}

/// Entra ID and OAuth write one text with spaces, others a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scopes {
    Text(String),
    List(Vec<String>),
}

impl Scopes {
    fn split(self) -> Vec<String> {
        let texts = match self {
            Self::Text(text) => vec![text],
            Self::List(list) => list,
        };
        texts.iter().flat_map(|text| text.split_ascii_whitespace()).map(str::to_owned).collect()
    }
}

impl Claims {
    /// The user, of exactly `issuer`.
    pub(super) fn user(self, issuer: &Arc<str>) -> Result<User, Refused> {
        // `jsonwebtoken` also takes a list of issuers that holds ours.
        if self.iss != **issuer {
            return Err(Refused::Invalid("it is of another issuer"));
        }
        if self.sub.is_empty() || self.sub.len() > MAX_SUBJECT || self.sub.chars().any(char::is_control) {
            return Err(Refused::Invalid("its subject is empty, too long or no text"));
        }
        let scopes = self.scp.or(self.scope).map(Scopes::split).unwrap_or_default();
        if scopes.len() > MAX_SCOPES {
            return Err(Refused::Invalid("it has too many scopes"));
        }
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_NAME => Some(text),
            _ => None,
        };
        let seconds = |number: f64| if number.is_finite() && number >= 0.0 { number as u64 } else { 0 };
        Ok(User {
            owner: Owner { issuer: issuer.clone(), subject: self.sub.into() },
            name: text(self.name).or(text(self.preferred_username)),
            scopes,
            expires_at: self.exp.as_u64().or(self.exp.as_f64().map(seconds)).unwrap_or(0),
        })
    }
}
