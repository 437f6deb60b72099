//! Documents known by their digest: those that the platform trusts, read from a folder when
//! it starts, and those that clients have sent once (automatic persisted queries). Asked by
//! the protocols before a document is planned.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::error::{Failure, code};

/// The bytes of documents that clients have registered, in one of two generations: who
/// registers without end pushes out others' documents, and no more.
const MAX_BYTES: usize = 4 << 20;

/// What the platform file says about documents.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// The documents.
    pub documents: Vec<Arc<str>>,
    /// Whether others are refused.
    pub required: bool,
    /// Whether clients may register others.
    pub automatic: bool,
}

/// The documents that are known.
pub(crate) struct Documents {
    trusted: HashMap<String, Arc<str>>,
    required: bool,
    automatic: bool,
    registered: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<String, Arc<str>>,
    old: HashMap<String, Arc<str>>,
    bytes: usize,
}

impl Documents {
    /// What the settings say.
    pub fn new(trusted: &Trusted) -> Self {
        let Trusted { documents, required, automatic } = trusted;
        let by_digest = documents.iter().map(|document| (digest(document), Arc::clone(document)));
        Self {
            trusted: by_digest.collect(),
            required: *required,
            // Where only trusted documents run, nobody registers others.
            automatic: *automatic && !*required,
            registered: Mutex::default(),
        }
    }

    /// The document that a request means, by its text, its digest, or both.
    pub fn find<'d>(
        &self,
        document: Option<Cow<'d, str>>,
        wanted: Option<&str>,
    ) -> Result<Cow<'d, str>, Failure> {
        match (document, wanted) {
            (Some(document), wanted) => {
                if wanted.is_none() && !self.required {
                    return Ok(document);
                }
                let digest = digest(&document);
                if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&digest)) {
                    return Err(Failure::new(code::BAD_REQUEST, "The digest is not that of the document."));
                }
                if self.required && !self.trusted.contains_key(&digest) {
                    return Err(unknown());
                }
                Ok(document)
            }
            (None, Some(wanted)) => {
                let wanted = wanted.to_ascii_lowercase();
                match self.trusted.get(&wanted).cloned().or_else(|| self.registered(&wanted)) {
                    Some(known) => Ok(Cow::Owned(known.to_string())),
                    // The texts are those that clients of Apollo look for.
                    None if self.automatic => {
                        Err(Failure::new(code::NOT_PERSISTED, "PersistedQueryNotFound"))
                    }
                    None if self.required => Err(unknown()),
                    None => Err(Failure::new(code::NOT_REGISTRABLE, "PersistedQueryNotSupported")),
                }
            }
            (None, None) => Err(Failure::new(code::BAD_REQUEST, "\"query\" is missing.")),
        }
    }

    fn registered(&self, digest: &str) -> Option<Arc<str>> {
        let mut generations = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = generations.young.get(digest) {
            return Some(Arc::clone(known));
        }
        let known = generations.old.remove(digest)?;
        generations.keep(digest.to_owned(), Arc::clone(&known));
        Some(known)
    }

    /// Keeps a document that a client sent with its digest, once it is known to be good.
    pub fn keep(&self, wanted: &str, document: &str) {
        if self.automatic {
            let mut generations = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
            generations.keep(wanted.to_ascii_lowercase(), document.into());
        }
    }
}

impl Generations {
    fn keep(&mut self, digest: String, document: Arc<str>) {
        if self.young.contains_key(&digest) {
            return;
        }
        if self.bytes + document.len() > MAX_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += document.len() + digest.len();
        self.young.insert(digest, document);
    }
}

fn unknown() -> Failure {
    Failure::new(code::UNKNOWN_DOCUMENT, "Only the documents that are trusted here are answered.")
}

/// SHA-256 of a document, in hexadecimal digits.
fn digest(document: &str) -> String {
    hex::encode(Sha256::digest(document.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_documents_do_not_fill_the_memory_and_what_is_used_stays() {
        let documents = Documents::new(&Trusted { automatic: true, ..Trusted::default() });
        documents.keep("used", "{a}");
        for number in 0..300 {
            documents.keep(&format!("{number}"), &" ".repeat(64 << 10));
            assert!(documents.registered("used").is_some(), "{number}");
        }
        let generations = documents.registered.lock().unwrap();
        let kept: usize =
            generations.young.values().chain(generations.old.values()).map(|each| each.len()).sum();
        assert!(kept <= 2 * MAX_BYTES);
        assert!(!generations.young.contains_key("0") && !generations.old.contains_key("0"));
    }
}
