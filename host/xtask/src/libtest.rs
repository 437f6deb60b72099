//! Reads what Rust's test harness prints: counts, and the output of tests that failed.
//! It works on lines as they come, so that a long suite can show how far it is.

/// What a test program said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that did not run.
    pub ignored: usize,
    /// Names of the tests that failed, as they failed.
    pub names: Vec<String>,
    /// From the heading of the failures on: what the failing tests printed.
    pub failures: String,
    /// What tests want said even when they pass (`note: 20 of 100 rounds`).
    pub notes: Vec<String>,
    /// How many results were seen so far, for progress.
    pub seen: usize,
    /// Whether the harness came to its end: a summary was read.
    pub finished: bool,
}

/// Reads one program's output into a report.
#[derive(Debug, Default)]
pub struct Reader {
    /// What was read so far.
    pub report: Report,
    /// The test that the harness last called slow, while it is still running.
    pub slow: Option<String>,
    section: Section,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// One line for each test.
    #[default]
    Results,
    /// What passing tests printed (`--show-output`).
    Successes,
    /// What failing tests printed.
    Failures,
}

impl Reader {
    /// Takes the next line.
    pub fn line(&mut self, line: &str) {
        match line.trim_end() {
            "successes:" => self.section = Section::Successes,
            "failures:" => self.section = Section::Failures,
            _ => {}
        }
        let summary = line.strip_prefix("test result: ");
        if let Some(rest) = summary.filter(|rest| rest.starts_with("ok. ") || rest.starts_with("FAILED. ")) {
            self.section = Section::Results;
            self.report.finished = true;
            self.report.passed += count(rest, "passed");
            self.report.failed += count(rest, "failed");
            self.report.ignored += count(rest, "ignored");
            return;
        }
        match self.section {
            Section::Results => self.result(line),
            Section::Successes => {
                if let Some(note) = line.strip_prefix("note: ") {
                    self.report.notes.push(note.to_owned());
                }
            }
            Section::Failures => {
                self.report.failures.push_str(line);
                self.report.failures.push('\n');
            }
        }
    }

    fn result(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test ") else { return };
        if let Some((name, _)) = rest.split_once(" has been running for over ") {
            self.slow = Some(name.to_owned());
            return;
        }
        let Some((name, outcome)) = rest.rsplit_once(" ... ") else { return };
        if self.slow.as_deref() == Some(name) {
            self.slow = None;
        }
        if outcome.starts_with("FAILED") {
            self.report.names.push(name.to_owned());
        }
        if ["ok", "FAILED", "ignored"].iter().any(|word| outcome.starts_with(word)) {
            self.report.seen += 1;
        }
    }
}

impl Report {
    /// Adds another program's report of the same suite.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.seen += other.seen;
        self.names.extend(other.names);
        self.notes.extend(other.notes);
        self.failures.push_str(&other.failures);
    }
}

/// `ok. 12 passed; 0 failed; ...`: the number before `word`.
fn count(summary: &str, word: &str) -> usize {
    let mut before = "";
    for part in summary.split([' ', ';']).filter(|part| !part.is_empty()) {
        if part == word {
            return before.parse().unwrap_or(0);
        }
        before = part;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Report {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.report
    }

    const MIXED: &str = "
running 3 tests
test names::an_empty_name_is_refused ... ok
test names::a_long_name_is_refused ... FAILED
test names::later ... ignored, not now

successes:

---- names::an_empty_name_is_refused stdout ----
note: 20 of 100 rounds; FULL=1 runs all
something else

successes:
    names::an_empty_name_is_refused

failures:

---- names::a_long_name_is_refused stdout ----
thread 'names::a_long_name_is_refused' panicked at src/name.rs:7:9:
test result: is what this test prints, and more

failures:
    names::a_long_name_is_refused

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s
";

    #[test]
    fn counts_names_notes_and_the_output_of_failing_tests_are_read() {
        let report = read(MIXED);
        assert_eq!((report.passed, report.failed, report.ignored), (1, 1, 1));
        assert_eq!(report.names, ["names::a_long_name_is_refused"]);
        assert_eq!(report.notes, ["20 of 100 rounds; FULL=1 runs all"]);
        assert!(report.failures.contains("src/name.rs:7:9"), "{}", report.failures);
        assert!(report.failures.contains("prints, and more"), "{}", report.failures);
        assert_eq!(report.seen, 3);
    }

    #[test]
    fn the_summaries_of_several_harnesses_in_one_output_add_up() {
        let report = read(
            "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n\
             running 2 tests\ntest b ... ok\ntest c ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n",
        );
        assert_eq!((report.passed, report.failed), (3, 0));
        assert!(report.failures.is_empty());
    }

    #[test]
    fn a_test_that_takes_long_is_named_while_it_runs() {
        let mut reader = Reader::default();
        reader.line("test drain::waits has been running for over 60 seconds");
        assert_eq!(reader.slow.as_deref(), Some("drain::waits"));
        reader.line("test other ... ok");
        assert_eq!(reader.slow.as_deref(), Some("drain::waits"));
        reader.line("test drain::waits ... ok");
        assert_eq!((reader.slow, reader.report.seen), (None, 2));
    }

    #[test]
    fn a_program_that_died_has_no_summary() {
        let report = read("running 2 tests\ntest a ... ok\n");
        assert!(!report.finished);
        assert_eq!(report.passed, 0);
    }
}
