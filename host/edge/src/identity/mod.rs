//! Whose token it is: signature, issuer, audience and times, checked once for each token.
//!
//! [`Verifier`] is the only code that looks at a token, whether the issuer is the
//! built-in one or somebody else's: they differ in where the keys come from.

mod claims;
mod keys;
mod memory;
mod remote;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use monopod_core::BoxFuture;
use monopod_core::identity::{Authenticator, Refused, User};

use crate::Error;
use crate::issuer::{self, Issuer};
use crate::limits::{LEEWAY_SECONDS, TOKEN_SIZE};
use claims::Claims;
use keys::{Keys, Pace};
use memory::Memory;

/// Where an issuer's keys come from.
trait Source: Send + Sync + 'static {
    /// The key set (RFC 7517) as it is now. Called rarely, never twice at once.
    fn fetch(&self) -> BoxFuture<'_, Result<Bytes, String>>;
}

/// The built-in issuer's own keys: the same path, without a network.
struct Local(Bytes);

impl Source for Local {
    fn fetch(&self) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// Verifies bearer tokens of one issuer for one audience.
pub(crate) struct Verifier {
    /// All but the algorithm, which belongs to the key.
    rules: Validation,
    issuer: Arc<str>,
    /// Scopes besides those of the token, by `sub`.
    subjects: BTreeMap<String, BTreeSet<String>>,
    keys: Keys,
    memory: Memory,
}

impl Verifier {
    /// For the built-in issuer.
    pub(crate) fn development(issuer: &Issuer) -> Self {
        Self::new(issuer.name(), issuer::AUDIENCE, Local(issuer.key_set()), Pace::default())
    }

    /// For an OpenID Connect issuer. Nothing is asked of it before the first token comes.
    pub(crate) fn remote(issuer: &str, audience: &str, ca: Option<&Path>) -> Result<Self, Error> {
        Ok(Self::new(issuer, audience, remote::Remote::new(issuer, ca)?, Pace::default()))
    }

    fn new(issuer: &str, audience: &str, source: impl Source, pace: Pace) -> Self {
        let mut rules = Validation::default();
        rules.set_issuer(&[issuer]);
        rules.set_audience(&[audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_SECONDS;
        rules.algorithms.clear();
        let (keys, memory) = (Keys::new(source, pace), Memory::default());
        Self { rules, issuer: issuer.into(), subjects: BTreeMap::new(), keys, memory }
    }

    /// The same, where these subjects have scopes besides those of their tokens.
    pub(crate) fn granting(self, subjects: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self { subjects, ..self }
    }

    /// The user of a token that was verified a short while ago. Costs one hash.
    pub(crate) fn remembered(&self, token: &str) -> Option<Arc<User>> {
        self.memory.find(token, monopod_core::now() / 1_000)
    }

    /// The user behind a token. Cancel-safe.
    pub(crate) async fn verify(&self, token: &str) -> Result<Arc<User>, Refused> {
        if token.len() > TOKEN_SIZE {
            return Err(Refused::Invalid("it is too long"));
        }
        // Nothing in the header is believed but which of the issuer's own keys to try.
        let header = decode_header(token).map_err(|_| Refused::Invalid("it is not a signed JWT"))?;
        if header.crit.is_some() {
            return Err(Refused::Invalid("it demands an extension"));
        }
        let plain = |kind: &str| ["jwt", "at+jwt", "application/at+jwt"].contains(&kind);
        if !header.typ.as_deref().is_none_or(|kind| plain(&kind.to_ascii_lowercase())) {
            return Err(Refused::Invalid("it is not an access token"));
        }
        let key = self.keys.find(header.kid.as_deref()).await?;
        if !key.algorithms.contains(&header.alg) {
            return Err(Refused::Invalid("its algorithm does not belong to the key"));
        }
        let mut rules = self.rules.clone();
        rules.algorithms.push(header.alg);
        let claims = decode::<Claims>(token, &key.key, &rules).map_err(|e| refused(e.kind()))?.claims;
        let mut user = claims.user(&self.issuer)?;
        if let Some(more) = self.subjects.get(&*user.owner.subject) {
            let new = more.iter().filter(|scope| !user.scopes.contains(scope)).cloned().collect::<Vec<_>>();
            user.scopes.extend(new);
        }
        let user = Arc::new(user);
        self.memory.keep(token, &user, monopod_core::now() / 1_000);
        Ok(user)
    }
}

impl Authenticator for Verifier {
    fn bearer<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Arc<User>, Refused>> {
        if let Some(user) = self.remembered(token) {
            return Box::pin(std::future::ready(Ok(user)));
        }
        Box::pin(self.verify(token))
    }
}

fn refused(kind: &ErrorKind) -> Refused {
    Refused::Invalid(match kind {
        ErrorKind::ExpiredSignature => return Refused::Expired,
        ErrorKind::InvalidSignature => "its signature is not the issuer's",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of iss, sub, aud and exp",
        ErrorKind::InvalidAlgorithm => "its algorithm does not belong to the key",
        _ => "its content is damaged",
    })
}

#[cfg(test)]
mod tests;
