//! Plans by document and operation name, so that a known document is neither parsed nor
//! validated again. Rights and limits are not cached: they are looked at on every request.
//!
//! Two generations make it bounded and cheap: what is used moves to the young one; when
//! that is full it becomes the old one and the old one is dropped. So at most twice the
//! capacity is kept, and what was used lately stays.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::Plan;

/// The bytes of documents in one generation: documents of the largest size must not
/// multiply with the number of plans.
const MAX_BYTES: usize = 4 << 20;

/// The cache of one schema.
pub struct Cache {
    capacity: usize,
    /// Keyed with a secret, so that nobody can make documents collide on purpose.
    hasher: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
    bytes: usize,
}

struct Entry {
    document: Box<str>,
    operation: Option<Box<str>>,
    plan: Arc<Plan>,
}

impl Cache {
    /// A cache that keeps at least the last `capacity` plans used.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), hasher: RandomState::new(), generations: Mutex::default() }
    }

    /// The plan, if it is known.
    pub fn get(&self, document: &str, operation: Option<&str>) -> Option<Arc<Plan>> {
        let hash = self.hasher.hash_one((document, operation));
        let fits = |entry: &&Entry| *entry.document == *document && entry.operation.as_deref() == operation;
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = generations.young.get(&hash).filter(fits) {
            return Some(Arc::clone(&entry.plan));
        }
        let plan = Arc::clone(&generations.old.get(&hash).filter(fits)?.plan);
        if let Some(entry) = generations.old.remove(&hash) {
            self.insert(&mut generations, hash, entry);
        }
        Some(plan)
    }

    /// Keeps a plan.
    pub fn put(&self, document: &str, operation: Option<&str>, plan: Arc<Plan>) {
        let hash = self.hasher.hash_one((document, operation));
        let entry = Entry { document: document.into(), operation: operation.map(Into::into), plan };
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        self.insert(&mut generations, hash, entry);
    }

    fn insert(&self, generations: &mut Generations, hash: u64, entry: Entry) {
        if generations.young.len() >= self.capacity || generations.bytes + entry.document.len() > MAX_BYTES {
            generations.old = std::mem::take(&mut generations.young);
            generations.bytes = 0;
        }
        generations.bytes += entry.document.len();
        if let Some(replaced) = generations.young.insert(hash, entry) {
            generations.bytes = generations.bytes.saturating_sub(replaced.document.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let cache = Cache::new(10);
        let plan = Arc::new(Plan::empty());
        cache.put("kept", None, Arc::clone(&plan));
        for number in 0..100 {
            cache.put(&format!("other {number}"), None, Arc::clone(&plan));
            assert!(cache.get("kept", None).is_some(), "{number}");
        }
        assert!(cache.get("other 0", None).is_none());
        assert!(cache.get("kept", Some("name")).is_none());
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 20);
    }

    #[test]
    fn long_documents_do_not_fill_the_memory() {
        let cache = Cache::new(1_000_000);
        let plan = Arc::new(Plan::empty());
        for number in 0..200 {
            cache.put(&format!("{number}{}", " ".repeat(64 << 10)), None, Arc::clone(&plan));
        }
        let generations = cache.generations.lock().unwrap();
        let kept: usize = generations
            .young
            .values()
            .chain(generations.old.values())
            .map(|entry| entry.document.len())
            .sum();
        assert!(kept <= 2 * MAX_BYTES + (64 << 10) + 3);
    }
}
