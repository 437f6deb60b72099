//! Tokens verified a short while ago, by their hash: a client that stays connected does
//! not pay a signature check for each request. Only tokens that were verified get in, so
//! nobody without a token can fill it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use monopod_core::identity::User;

use crate::limits::{LEEWAY_SECONDS, TOKEN_TRUST, TOKENS};

type Hash = [u8; 32];

/// Two generations: when the young one is full it becomes the old one, and the old one
/// goes. What is in use moves over by being used.
#[derive(Default)]
pub(super) struct Memory(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Hash, Entry>,
    old: HashMap<Hash, Entry>,
}

#[derive(Clone)]
struct Entry {
    user: Arc<User>,
    /// In seconds since 1970.
    until: u64,
}

fn hash(token: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

impl Memory {
    /// The user of a token that is remembered at `now`, in seconds since 1970.
    pub(super) fn find(&self, token: &str, now: u64) -> Option<Arc<User>> {
        let hash = hash(token);
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match generations.young.get(&hash) {
            Some(entry) => entry.clone(),
            None => {
                let entry = generations.old.remove(&hash)?;
                generations.insert(hash, entry.clone());
                entry
            }
        };
        (now < entry.until).then_some(entry.user)
    }

    /// Remembers a token that was verified at `now`.
    pub(super) fn keep(&self, token: &str, user: &Arc<User>, now: u64) {
        let until = user.expires_at.saturating_add(LEEWAY_SECONDS).min(now + TOKEN_TRUST.as_secs());
        let entry = Entry { user: user.clone(), until };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hash(token), entry);
    }
}

impl Generations {
    fn insert(&mut self, hash: Hash, entry: Entry) {
        if self.young.len() >= TOKENS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monopod_core::identity::Owner;

    fn user(expires_at: u64) -> Arc<User> {
        let owner = Owner { issuer: "i".into(), subject: "s".into() };
        Arc::new(User { owner, name: None, scopes: Vec::new(), expires_at })
    }

    #[test]
    fn a_token_is_remembered_until_it_ends_and_never_long() {
        let memory = Memory::default();
        memory.keep("short", &user(1_100), 1_000);
        assert!(memory.find("short", 1_100 + LEEWAY_SECONDS - 1).is_some());
        assert!(memory.find("short", 1_100 + LEEWAY_SECONDS).is_none());
        memory.keep("long", &user(1_000_000), 1_000);
        assert!(memory.find("long", 1_000 + TOKEN_TRUST.as_secs() - 1).is_some());
        assert!(memory.find("long", 1_000 + TOKEN_TRUST.as_secs()).is_none());
        assert!(memory.find("another", 1_000).is_none());
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let memory = Memory::default();
        memory.keep("used", &user(1_000_000), 1_000);
        for n in 0..TOKENS * 2 {
            memory.keep(&n.to_string(), &user(1_000_000), 1_000);
            assert!(memory.find("used", 1_000).is_some());
        }
        let generations = memory.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= TOKENS);
    }
}
