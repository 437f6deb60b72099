//! `docs/advisories.md` says of each advisory against a host like this what it means here. What it
//! names as a test must be one.

use std::collections::BTreeSet;

/// Enough that a table that cannot be read any more does not pass for a good one.
const LEAST: usize = 40;

#[test]
fn every_advisory_has_a_test_that_exists_or_a_reason_why_none_is_needed() {
    let root = monopod_tests::checkout();
    let text = std::fs::read_to_string(root.join("docs/advisories.md")).unwrap();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [advisory, what, here, test] = cells[..] else { panic!("not four cells: {line}") };
        if advisory == "Advisory" || advisory.starts_with("---") {
            continue;
        }
        assert!(!what.is_empty() && !here.is_empty(), "{line}");
        assert!(seen.insert(advisory), "{advisory} is there twice");
        let named: Vec<&str> = test.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || test == "-", "{line}");
        // Without a test the reason must be one of these, in so many words.
        let reasons = ["not compiled in", "never that version", "has the fix", "not on Linux", "waits for"];
        assert!(
            !named.is_empty() || reasons.iter().any(|reason| here.contains(reason)),
            "no test and no reason: {line}"
        );
        for name in named {
            let (file, function) =
                name.split_once("::").unwrap_or_else(|| panic!("not file::function: {name}"));
            let source =
                std::fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("no such file: {name}"));
            assert!(source.contains(&format!("fn {function}(")), "no such test: {name}");
        }
    }
    assert!(seen.len() >= LEAST, "{} advisories", seen.len());
}
