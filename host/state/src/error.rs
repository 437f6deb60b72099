//! Why the state cannot be opened. Shown to the person who starts the process, so
//! each text names the fix.

use std::path::PathBuf;

use monopod_core::BoxError;

/// Why the state cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is not one, or may not be written to.
    #[error(
        "the state folder {} cannot be used; make it a folder this user may write to, or give another one with --state",
        folder.display()
    )]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "another monopod (process {pid}, since {since}) is using the state folder {}; stop it, or give this one a folder of its own with --state",
        folder.display()
    )]
    Locked {
        /// Which folder.
        folder: PathBuf,
        /// The other's process id, `unknown` if it has not written it yet.
        pid: String,
        /// When it took the folder, as RFC 3339 has it; `an unknown time` likewise.
        since: String,
    },
    /// A later version wrote it.
    #[error(
        "{} was written by a newer monopod ({written_by}, format {found}; this one is {} and knows up to format {known}); start that version again, or give another folder with --state",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
        /// The version of the program that wrote it.
        written_by: String,
    },
    /// An SQLite file, but of some other program.
    #[error(
        "{} belongs to another program (application id {found:#010x}); move it away, or give another folder with --state",
        path.display()
    )]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Its application id; 0 for a program that sets none.
        found: i64,
    },
    /// Not an SQLite file, or no longer one.
    #[error(
        "{} is damaged or is not a state file ({what}); restore it from a backup, or move it away together with its -wal and -shm files to begin with empty state",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The database engine refuses for a reason of its own.
    #[error(
        "{} cannot be opened; look at its permissions and at the space left on its disk, or give another folder with --state",
        path.display()
    )]
    Database {
        /// Which file.
        path: PathBuf,
        /// What the engine says.
        #[source]
        source: BoxError,
    },
    /// The key that signs URLs is not one.
    #[error(
        "{} is not a signing key of 32 bytes; delete it and a new one is made (URLs signed so far end with it)",
        path.display()
    )]
    Key {
        /// Which file.
        path: PathBuf,
    },
}
