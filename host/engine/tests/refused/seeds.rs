//! Inputs that fuzzing began with, and those it found something with: each is looked at again.
//! `make fuzz NAME=loader` goes on from them.

use std::path::Path;

use crate::made::check;

#[test]
fn every_seed_of_the_loader_is_accepted_or_refused_with_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/loader");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let wasm = std::fs::read(&file).unwrap();
        if let Some(refusal) = check(&wasm) {
            assert!(!refusal.problems.is_empty(), "{}", file.display());
        }
        // Cut short anywhere, it is refused, or its rest was not needed.
        for end in (0..wasm.len()).step_by(wasm.len() / 50 + 1) {
            check(&wasm[..end]);
        }
        seen += 1;
    }
    assert!(seen >= 3, "the seeds are gone from {}", folder.display());
}
