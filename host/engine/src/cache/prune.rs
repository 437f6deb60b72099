//! Takes away what nobody needs any more: code of components and engines of the past, and what
//! a process that was killed left half written. Called once after a start, off its path.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What is kept of code that this start did not use, newest first: enough to go back to some
/// versions of some hundred components without compiling them.
const KEEP: u64 = 512 << 20;
/// And no longer than this.
const AGE: Duration = Duration::from_secs(30 * 86_400);
/// A file that is being written is younger than this.
const WRITING: Duration = Duration::from_secs(3_600);

/// Removes from `folder` what is older or more than is kept, but none of `used`. A process that
/// still has a removed file mapped keeps it.
pub(super) fn prune(folder: &Path, used: &HashSet<OsString>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let now = SystemTime::now();
    let mut unused: Vec<(Duration, u64, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let (Ok(meta), Some(ending)) = (entry.metadata(), path.extension()) else { continue };
        let age = meta.modified().ok().and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
        if ending == super::ENDING && !used.contains(&entry.file_name()) {
            unused.push((age, meta.len(), path));
        } else if ending == super::TEMPORARY && age > WRITING {
            remove(&path);
        }
    }
    unused.sort();
    let mut kept = 0_u64;
    for (age, size, path) in unused {
        kept = kept.saturating_add(size);
        if age > AGE || kept > KEEP {
            remove(&path);
        }
    }
}

fn remove(path: &Path) {
    // Another process may have been faster; what cannot be removed is tried again next time.
    match fs::remove_file(path) {
        Ok(()) => tracing::debug!(file = %path.display(), "compiled code that nobody needs was removed"),
        Err(error) => tracing::debug!(file = %path.display(), %error, "compiled code could not be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_or_recent_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, size: u64, days: u64| {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_len(size).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
        };
        file("used-and-old.cwasm", 1, 90);
        file("recent.cwasm", KEEP / 2, 1);
        file("older.cwasm", KEEP / 2, 2);
        file("too-much.cwasm", 1, 3);
        file("too-old.cwasm", 0, 31);
        file("left-behind.tmp", 1, 1);
        file("being-written.tmp", 1, 0);
        file("seal.key", 32, 90);
        prune(folder.path(), &HashSet::from(["used-and-old.cwasm".into()]));
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let expect = ["being-written.tmp", "older.cwasm", "recent.cwasm", "seal.key", "used-and-old.cwasm"];
        assert_eq!(left, expect);
    }
}
