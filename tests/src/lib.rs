//! Support shared by the suites.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite stops at the first surprise"
)]

use std::path::PathBuf;

/// The folder of the bundles under test, from `MONOPOD_BUNDLES`.
pub fn bundles() -> PathBuf {
    std::env::var_os("MONOPOD_BUNDLES")
        .map(PathBuf::from)
        .expect("MONOPOD_BUNDLES is not set: run the suite with `make test SUITE=<name>`")
}

/// A bundle under test.
pub fn bundle(name: &str) -> monopod_bundle::Bundle {
    monopod_bundle::open(&bundles().join(name)).unwrap()
}

/// The digest of `bytes` as bundles have it.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}
