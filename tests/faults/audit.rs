//! The independent checker: what stands in the state file, against what clients were told.
//!
//! It reads a copy of the file with SQL of its own and none of the platform's code, so a
//! mistake there is not repeated here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::ledger::{Entry, Step};

/// What was found in the state file.
#[derive(Debug, Default)]
pub struct Found {
    /// `tu.images.uploaded` by upload.
    pub uploaded: BTreeMap<String, usize>,
    /// `analysis.started` by upload.
    pub started: BTreeMap<String, usize>,
    /// `completed` and `failed` by upload.
    pub ends: BTreeMap<String, Vec<&'static str>>,
    /// Topics of dead letters, and why they are dead.
    pub dead: Vec<String>,
    /// Messages that somebody still has to handle.
    pub deliveries: usize,
    /// Timers that are still set.
    pub timers: usize,
}

impl Found {
    /// Confirmed uploads whose analysis has not ended.
    pub fn unfinished(&self) -> usize {
        self.uploaded.keys().filter(|id| !self.ends.contains_key(*id)).count()
    }
}

/// Looks into a copy of the state file, of a host that does not run: whoever opens the file itself could repair it, or stand
/// in the host's way. Panics if the file is damaged.
pub fn look(state: &Path) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("state.db");
    for suffix in ["", "-wal"] {
        match std::fs::copy(state.join(format!("state.db{suffix}")), format!("{}{suffix}", copy.display())) {
            Ok(_) => {}
            // After a stop in order there is no log.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => {}
            Err(error) => panic!("the state file cannot be copied: {error}"),
        }
    }
    read(&Connection::open(&copy).unwrap()).unwrap()
}

/// How many messages wait to be handled, asked of the file of a host that runs.
pub fn pending(state: &Path) -> usize {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(state.join("state.db"), flags).unwrap();
    count(&file, "SELECT count(*) FROM deliveries").unwrap()
}

fn count(file: &Connection, sql: &str) -> rusqlite::Result<usize> {
    Ok(usize::try_from(file.query_row(sql, [], |row| row.get::<_, i64>(0))?).unwrap())
}

fn read(file: &Connection) -> rusqlite::Result<Found> {
    let sound: String = file.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    assert_eq!(sound, "ok", "the state file is damaged");
    let mut found = Found::default();
    let mut messages = file.prepare("SELECT topic, headers, payload FROM messages")?;
    let mut rows = messages.query([])?;
    while let Some(row) = rows.next()? {
        let (topic, headers, payload): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if topic.ends_with(".dead") {
            found.dead.push(format!("{topic} {headers}"));
            continue;
        }
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
        let id = payload["uploadId"].as_str().unwrap_or_default().to_owned();
        match topic.as_str() {
            "tu.images.uploaded" => *found.uploaded.entry(id).or_default() += 1,
            "analysis.started" => *found.started.entry(id).or_default() += 1,
            "analysis.completed" => found.ends.entry(id).or_default().push("completed"),
            "analysis.failed" => found.ends.entry(id).or_default().push("failed"),
            _ => {}
        }
    }
    found.deliveries = count(file, "SELECT count(*) FROM deliveries")?;
    found.timers = count(file, "SELECT count(*) FROM timers")?;
    Ok(found)
}

/// Everything that is not as it was promised, when all is quiet. `states` are the states that
/// the platform told the clients at the end.
pub fn violations(entries: &[Entry], found: &Found, states: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for Entry { upload, photo, confirm, .. } in entries {
        let id = upload.id.as_str();
        known.insert(id);
        let count = |of: &BTreeMap<String, usize>| of.get(id).copied().unwrap_or_default();
        let ends = found.ends.get(id).map(Vec::as_slice).unwrap_or_default();
        let right = if photo.whole { "completed" } else { "failed" };
        let complete = count(&found.uploaded) == 1 && count(&found.started) == 1 && ends == [right];
        let absent = count(&found.uploaded) == 0 && count(&found.started) == 0 && ends.is_empty();
        let (kept, promise) = match confirm {
            Step::Acknowledged => (complete, "was acknowledged"),
            Step::Unknown => (complete || absent, "was confirmed without an answer"),
            Step::Unsent => (absent, "was never confirmed"),
        };
        if !kept {
            wrong.push(format!(
                "{id} {promise}, should end in {right}, and has {} x uploaded, {} x started, ends {ends:?}",
                count(&found.uploaded),
                count(&found.started)
            ));
        }
        let state = states.get(id).map(String::as_str);
        let told = if absent { "pending" } else { right };
        if state != Some(told) {
            wrong.push(format!("{id} {promise}; upload(id) says {state:?}, which should be {told}"));
        }
    }
    let everywhere = found.uploaded.keys().chain(found.started.keys()).chain(found.ends.keys());
    for id in everywhere.collect::<BTreeSet<_>>() {
        if !known.contains(id.as_str()) {
            wrong.push(format!("{id} has events, and nobody was told that it exists"));
        }
    }
    wrong.extend(found.dead.iter().map(|dead| format!("a dead letter: {dead}")));
    if found.deliveries + found.timers > 0 {
        wrong.push(format!("{} deliveries and {} timers are left", found.deliveries, found.timers));
    }
    wrong
}

/// The checker itself: it must find what it is there for.
mod tests {
    use monopod_tests::client::Upload;
    use monopod_tests::photo::Photo;
    use monopod_tests::random::Random;

    use super::*;

    fn entry(id: &str, confirm: Step, whole: bool) -> Entry {
        let upload = Upload { id: id.to_owned(), put_url: String::new() };
        Entry {
            owner: 0,
            upload,
            photo: Photo::small(&mut Random::new(1), whole),
            put: Step::Acknowledged,
            confirm,
        }
    }

    fn check(entries: &[Entry], uploaded: &[&str], ends: &[(&str, &'static str)]) -> usize {
        let mut found = Found::default();
        for id in uploaded {
            *found.uploaded.entry((*id).to_owned()).or_default() += 1;
            found.started.insert((*id).to_owned(), 1);
        }
        let mut states = BTreeMap::new();
        for entry in entries {
            states.insert(entry.upload.id.clone(), "pending".to_owned());
        }
        for (id, end) in ends {
            found.ends.entry((*id).to_owned()).or_default().push(end);
            states.insert((*id).to_owned(), (*end).to_owned());
        }
        violations(entries, &found, &states).len()
    }

    #[test]
    fn the_checker_finds_what_was_lost_doubled_or_made_up() {
        use Step::{Acknowledged, Unknown, Unsent};
        let acknowledged = [entry("a", Acknowledged, true)];
        assert_eq!(check(&acknowledged, &["a"], &[("a", "completed")]), 0);
        assert!(check(&acknowledged, &[], &[]) > 0, "lost");
        assert!(check(&acknowledged, &["a"], &[]) > 0, "never ended");
        assert!(check(&acknowledged, &["a"], &[("a", "completed"), ("a", "completed")]) > 0, "doubled");
        assert!(check(&acknowledged, &["a"], &[("a", "completed"), ("a", "failed")]) > 0, "both ends");
        assert!(check(&acknowledged, &["a"], &[("a", "failed")]) > 0, "the wrong end");
        assert!(check(&acknowledged, &["a", "a"], &[("a", "completed")]) > 0, "uploaded twice");
        let damaged = [entry("a", Acknowledged, false)];
        assert_eq!(check(&damaged, &["a"], &[("a", "failed")]), 0);
        let unknown = [entry("a", Unknown, true)];
        assert_eq!(check(&unknown, &[], &[]), 0, "absent");
        assert_eq!(check(&unknown, &["a"], &[("a", "completed")]), 0, "complete");
        assert!(check(&unknown, &["a"], &[]) > 0, "in between");
        let unsent = [entry("a", Unsent, true)];
        assert_eq!(check(&unsent, &[], &[]), 0);
        assert!(check(&unsent, &["a"], &[("a", "completed")]) > 0, "never asked for");
        assert!(check(&[], &["a"], &[("a", "completed")]) > 0, "nobody's");
    }

    #[test]
    fn the_checker_finds_dead_letters_and_what_is_left_over() {
        let found = Found { dead: vec!["analysis.commands.dead".to_owned()], ..Found::default() };
        assert_eq!(violations(&[], &found, &BTreeMap::new()).len(), 1);
        let found = Found { deliveries: 1, ..Found::default() };
        assert_eq!(violations(&[], &found, &BTreeMap::new()).len(), 1);
        let found = Found { timers: 1, ..Found::default() };
        assert_eq!(violations(&[], &found, &BTreeMap::new()).len(), 1);
    }
}
