//! The signing key: made once, kept, its public half served.

use std::path::Path;

use axum::http::StatusCode;
use bytes::Bytes;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::json;

use super::{AUDIENCE, Wish, Wrong};
use crate::answer::{self, Answer};
use crate::{Error, files};

pub(super) struct SigningKey {
    key: EncodingKey,
    id: String,
    public: Bytes,
}

impl SigningKey {
    /// The key in `folder`, made if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        files::folder(folder)?;
        let path = folder.join("issuer.pem");
        let kept = match files::read_private(&path)? {
            Some(pem) => {
                Some(std::str::from_utf8(&pem).ok().and_then(|pem| KeyPair::from_pem(pem).ok()).ok_or(
                    Error::Pem {
                        path: path.clone(),
                        what: "private key",
                        fix: "delete it to have a new one made; tokens of the old one end with it",
                    },
                )?)
            }
            None => None,
        };
        let pair = match kept {
            Some(pair) => pair,
            None => {
                let pair = KeyPair::generate().map_err(|_| Error::Crypto("no key could be made"))?;
                files::write_private(&path, pair.serialize_pem().as_bytes())?;
                pair
            }
        };
        Self::new(&pair).map_err(|_| Error::Crypto("the issuer's key is not one for ES256"))
    }

    fn new(pair: &KeyPair) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        let id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = serde_json::to_vec(&JwkSet { keys: vec![public] })?.into();
        Ok(Self { key, id, public })
    }

    /// The key set.
    pub(super) fn public(&self) -> &Bytes {
        &self.public
    }

    /// A token for `name`, as the token endpoint answers it. `now` in seconds since 1970.
    pub(super) fn issue(&self, issuer: &str, name: &str, wish: &Wish, now: u64) -> Result<Answer, Wrong> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        let claims = json!({
            "iss": issuer,
            "sub": name,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add_signed(wish.lasts),
            "scp": wish.scope,
            "name": name,
            "jti": uuid::Uuid::new_v4().to_string(),
        });
        let token = encode(&header, &claims, &self.key).map_err(|_| {
            Wrong(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "no token could be signed".into())
        })?;
        Ok(answer::json(
            StatusCode::OK,
            &json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": wish.lasts,
                "scope": wish.scope,
            }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_across_restarts_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let first = SigningKey::open(folder.path()).unwrap();
        let second = SigningKey::open(folder.path()).unwrap();
        assert_eq!(first.public(), second.public());
        let shown = String::from_utf8(first.public().to_vec()).unwrap();
        assert!(!shown.contains("\"d\""), "no private part: {shown}");

        files::write_private(&folder.path().join("issuer.pem"), b"nonsense").unwrap();
        assert!(matches!(SigningKey::open(folder.path()), Err(Error::Pem { .. })));
    }
}
