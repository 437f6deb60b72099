//! Support shared by the suites.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

pub mod client;
pub mod graph;
pub mod host;
pub mod kube;
pub mod nowhere;
pub mod photo;
pub mod proxy;
pub mod puppet;
pub mod random;
pub mod release;
pub mod rooms;
pub mod services;
pub mod socket;
pub mod stream;

use std::path::{Path, PathBuf};

/// The folder of the bundles under test, from `MONOPOD_BUNDLES`.
pub fn bundles() -> PathBuf {
    from_environment("MONOPOD_BUNDLES")
}

/// A path that the task program passes in.
pub fn from_environment(variable: &str) -> PathBuf {
    let Some(path) = std::env::var_os(variable) else {
        panic!("{variable} is not set: run it with `make test SUITE=<name>` or `make bench NAME=<name>`")
    };
    PathBuf::from(path)
}

/// The checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the checkout")
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
