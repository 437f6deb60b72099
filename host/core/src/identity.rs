//! Who asked. Made once at the front door, then passed as a value.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// A person or program whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Issuer and subject: who it is.
    pub owner: Owner,
    /// A name for people to read.
    pub name: Option<String>,
    /// What the token allows.
    pub scopes: Vec<String>,
    /// When the token ends, in seconds since 1970.
    pub expires_at: u64,
}

/// A user without rights: who began a chain of events, and to whom its results belong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The token's `iss`.
    pub issuer: Arc<str>,
    /// The token's `sub`.
    pub subject: Arc<str>,
}

/// On whose behalf something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody who proved who they are.
    Anonymous,
    /// A verified user, with rights.
    User(Arc<User>),
    /// Events a user began: who it was, without rights.
    Owner(Owner),
    /// The platform itself.
    System,
}

impl Principal {
    /// To whom the results belong.
    pub fn owner(&self) -> Option<&Owner> {
        match self {
            Self::User(user) => Some(&user.owner),
            Self::Owner(owner) => Some(owner),
            Self::Anonymous | Self::System => None,
        }
    }

    /// What the caller may do. Empty for all but a verified user.
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::User(user) => &user.scopes,
            _ => &[],
        }
    }
}

/// Why a token was refused. The text is public: it never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Expired: a new one would be accepted.
    #[error("the token has expired")]
    Expired,
    /// Not a token of this issuer and audience, or damaged.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// The issuer's keys cannot be had; a retry may help.
    #[error("the token cannot be verified now: {0}")]
    Unavailable(&'static str),
}

/// Verifies bearer tokens. Implemented by `edge`; asked by the front door for each
/// request and by `graph` for a token that arrives inside a WebSocket.
pub trait Authenticator: Send + Sync {
    /// The user behind `token` (without the word `Bearer`). Cancel-safe.
    fn bearer<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Arc<User>, Refused>>;
}
