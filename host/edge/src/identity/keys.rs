//! An issuer's keys: fetched when needed, kept while fresh, believed a while longer when
//! the issuer cannot be reached, and asked for at a bounded rate whatever tokens come.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use monopod_core::identity::Refused;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Source;
use crate::limits::{KEYS, KEYS_COOLDOWN, KEYS_FRESH, KEYS_STALE};

/// A key and what may be signed with it. An algorithm is a property of the key, never of
/// the token: that is what closes the door on `none` and on HMAC with a public key.
pub(super) struct Key {
    pub(super) key: DecodingKey,
    pub(super) algorithms: Vec<Algorithm>,
}

/// A key set as it was once fetched.
struct Ring {
    keys: HashMap<String, Arc<Key>>,
    /// The key of a token that names none: only if there is exactly one.
    only: Option<Arc<Key>>,
    fetched: Instant,
}

pub(super) struct Keys(Arc<Inner>);

/// How often an issuer is asked, and how long its answer is believed.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) cooldown: Duration,
    pub(super) fresh: Duration,
    pub(super) stale: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { cooldown: KEYS_COOLDOWN, fresh: KEYS_FRESH, stale: KEYS_STALE }
    }
}

struct Inner {
    source: Box<dyn Source>,
    pace: Pace,
    ring: RwLock<Option<Arc<Ring>>>,
    /// When the last fetch ended that was due to an unknown key id or a failure. Held
    /// while fetching, so that many who need one wait for the same.
    last: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn new(source: impl Source, pace: Pace) -> Self {
        let (ring, last) = (RwLock::new(None), Mutex::new(None));
        Self(Arc::new(Inner { source: Box::new(source), pace, ring, last }))
    }

    /// The key of that id. Cancel-safe: a fetch that was begun is finished for others.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Arc<Key>, Refused> {
        let ring = self.0.ring();
        if let Some(key) = ring.as_ref().and_then(|ring| ring.find(id)) {
            let pace = self.0.pace;
            match ring.map_or(pace.stale, |ring| ring.fetched.elapsed()) {
                age if age < pace.fresh => {}
                // Good enough for this request; the next ones find the new set.
                age if age < pace.stale => drop(tokio::spawn(self.0.clone().renew())),
                _ => {
                    let unreachable = Refused::Unavailable("its issuer cannot be reached");
                    let inner = self.0.clone();
                    let renewed = tokio::spawn(inner.renew()).await.unwrap_or(None);
                    return renewed.and_then(|ring| ring.find(id)).ok_or(unreachable);
                }
            }
            return Ok(key);
        }
        // A task of its own: whoever breaks off after asking must not break off the
        // fetch, or the cooldown would be spent for nothing.
        let inner = self.0.clone();
        let ring = tokio::spawn(inner.learn(id.map(str::to_owned))).await.unwrap_or(None);
        match ring {
            None => Err(Refused::Unavailable("its issuer's keys cannot be had")),
            Some(ring) => ring.find(id).ok_or(Refused::Invalid("its key is not the issuer's")),
        }
    }
}

impl Inner {
    fn ring(&self) -> Option<Arc<Ring>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches because of a key id nobody knows, unless that was done a moment ago.
    async fn learn(self: Arc<Self>, id: Option<String>) -> Option<Arc<Ring>> {
        let mut last = self.last.lock().await;
        let ring = self.ring();
        // Somebody else may have fetched it while this one waited.
        let known = ring.as_ref().is_some_and(|ring| ring.find(id.as_deref()).is_some());
        if known || last.is_some_and(|at| at.elapsed() < self.pace.cooldown) {
            return ring;
        }
        let fetched = self.fetch().await;
        // A first fetch that brought the key does not count: the issuer may bring out a
        // new one right after it, whose tokens must not be refused.
        let first = ring.is_none() && fetched.as_ref().is_some_and(|ring| ring.find(id.as_deref()).is_some());
        if !first {
            *last = Some(Instant::now());
        }
        fetched.or(ring)
    }

    /// Fetches because the keys are old. One at a time; a second one finds nothing to do.
    async fn renew(self: Arc<Self>) -> Option<Arc<Ring>> {
        let mut last = self.last.lock().await;
        let ring = self.ring();
        let fresh = ring.as_ref().is_some_and(|ring| ring.fetched.elapsed() < self.pace.fresh);
        if fresh {
            return ring;
        }
        if last.is_some_and(|at| at.elapsed() < self.pace.cooldown) {
            return None;
        }
        *last = Some(Instant::now());
        self.fetch().await
    }

    async fn fetch(&self) -> Option<Arc<Ring>> {
        let read = self.source.fetch().await.and_then(|set| Ring::read(&set));
        match read {
            Ok(ring) => {
                let ring = Arc::new(ring);
                *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Some(ring.clone());
                Some(ring)
            }
            Err(why) => {
                tracing::warn!(why, "the issuer's keys could not be fetched; the known ones stay in use");
                None
            }
        }
    }
}

impl Ring {
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match id {
            Some(id) => self.keys.get(id).cloned(),
            None => self.only.clone(),
        }
    }

    /// Keys that are of no use here are passed over: an issuer may publish others too.
    fn read(set: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(set).map_err(|e| format!("not a key set: {e}"))?;
        let usable = |value| {
            let jwk = serde_json::from_value::<Jwk>(value).ok()?;
            let key = Arc::new(Key { key: DecodingKey::from_jwk(&jwk).ok()?, algorithms: algorithms(&jwk)? });
            Some((jwk.common.key_id, key))
        };
        let keys: Vec<_> = set.keys.into_iter().take(KEYS).filter_map(usable).collect();
        let only = match keys.as_slice() {
            [] => return Err("the key set holds no key for signatures".to_owned()),
            [(_, key)] => Some(key.clone()),
            _ => None,
        };
        let keys = keys.into_iter().filter_map(|(id, key)| Some((id?, key))).collect();
        Ok(Self { keys, only, fetched: Instant::now() })
    }
}

/// What a key may sign: by its type, narrowed by its `alg`. None for keys that are not
/// public or not for signatures.
fn algorithms(jwk: &Jwk) -> Option<Vec<Algorithm>> {
    use Algorithm as A;
    use KeyAlgorithm as K;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let of_type: &[(K, A)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            (K::RS256, A::RS256),
            (K::RS384, A::RS384),
            (K::RS512, A::RS512),
            (K::PS256, A::PS256),
            (K::PS384, A::PS384),
            (K::PS512, A::PS512),
        ],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            &[(K::ES256, A::ES256)]
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
            &[(K::ES384, A::ES384)]
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[(K::EdDSA, A::EdDSA)]
        }
        _ => return None,
    };
    let named = |key: &K| jwk.common.key_algorithm.as_ref().is_none_or(|named| named == key);
    let algorithms: Vec<A> = of_type.iter().filter(|(key, _)| named(key)).map(|(_, a)| *a).collect();
    (!algorithms.is_empty()).then_some(algorithms)
}
