//! Ids that components make.

use crate::ports::{Clock, Random};

/// A new id: a UUID of version 7, hyphenated, lower case. Ids made later sort later (to the
/// millisecond), so a bucket keyed by them is in order of time.
pub fn new(ports: &(impl Clock + Random)) -> String {
    let random = ports.random();
    let [.., a, b, c, d, e, f, g, h, i, j] = random;
    let millis = ports.now().0;
    uuid::Builder::from_unix_timestamp_millis(millis, &[a, b, c, d, e, f, g, h, i, j])
        .into_uuid()
        .hyphenated()
        .to_string()
}

/// Whether `text` has the form of an id: a hyphenated UUID of any version, in either case.
pub fn is_id(text: &str) -> bool {
    text.len() == uuid::fmt::Hyphenated::LENGTH && uuid::Uuid::try_parse(text).is_ok()
}
