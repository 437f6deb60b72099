//! The database file: opened, checked, brought to the newest format. Called once by
//! the store when it opens; nothing here runs later.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::OpenError;

/// The file's name in the state folder.
pub(crate) const FILE: &str = "state.db";

/// `mono`: marks the file as ours, for us and for file(1).
const APPLICATION: i64 = 0x6d6f_6e6f;

/// The formats, oldest first; `user_version` says how many a file has been through.
/// An entry is never changed once released: a change is a new entry.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/001-first.sql"), include_str!("migrations/002-operations.sql")];

/// How long to wait for somebody who looks into the file with a tool of their own.
const BUSY: Duration = Duration::from_secs(5);

/// After an unclean stop the file is checked if it is no larger than this: that takes
/// about half a second. A larger one would keep its people waiting for a fault that
/// SQLite's recovery excludes unless the disk lies.
const CHECK_MAX: u64 = 256 << 20;

/// The write-ahead log is cut back to this when it starts over. Checkpoints keep it
/// near 4 MiB; only a burst or a long reader makes it larger.
const LOG_KEPT: u64 = 64 << 20;

/// All statements of a connection, with room: each is prepared once.
const STATEMENTS: usize = 64;

/// Opens the file for writing, makes or migrates it.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let unclean = before(path)?;
    let mut connection = Connection::open(path).map_err(|error| fault(path, error))?;
    identify(path, &connection)?;
    tune(&connection).map_err(|error| fault(path, error))?;
    migrate(path, &mut connection)?;
    settle_in(path, &connection).map_err(|error| fault(path, error))?;
    if unclean {
        check(path, &connection)?;
    }
    Ok(connection)
}

/// Opens the file for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    open().map_err(|error| fault(path, error))
}

/// Looks at the file before SQLite does: says whether it was left in the middle of
/// something, and finds a file that was cut off, which SQLite would notice only when
/// it misses a page.
fn before(path: &Path) -> Result<bool, OpenError> {
    let wrong = |source: std::io::Error| OpenError::Database { path: path.to_owned(), source: source.into() };
    let damaged = |what: String| OpenError::Damaged { path: path.to_owned(), what };
    let log = fs::metadata(path.with_file_name(format!("{FILE}-wal"))).is_ok_and(|log| log.len() > 0);
    let length = match fs::metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Err(damaged("it is not a file".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(wrong(error)),
    };
    if length == 0 {
        return Ok(log);
    }
    // https://sqlite.org/fileformat.html, "The Database Header".
    let mut header = [0_u8; 100];
    let mut file = fs::File::open(path).map_err(wrong)?;
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged("it does not begin as an SQLite file does".to_owned()));
    }
    let number = |at: usize| {
        header.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, |b| u64::from(u32::from_be_bytes(b)))
    };
    // Two bytes at 16.
    let page = match number(14) & 0xffff {
        1 => 65_536,
        size => size,
    };
    let (pages, changed, valid_for) = (number(28), number(24), number(92));
    // A checkpoint that was cut short leaves a short file, and the log that completes it.
    if !log && changed == valid_for && length < pages * page {
        return Err(damaged(format!("it was cut off: {length} of {} bytes are left", pages * page)));
    }
    Ok(log)
}

/// Refuses a file that is not ours, or of a later format.
pub(crate) fn identify(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let ask = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| fault(path, error))
    };
    connection.busy_timeout(BUSY).map_err(|error| fault(path, error))?;
    let application = ask("PRAGMA application_id")?;
    let version = ask("PRAGMA user_version")?;
    let objects = ask("SELECT count(*) FROM sqlite_schema")?;
    let fresh = application == 0 && version == 0 && objects == 0;
    if application != APPLICATION && !fresh {
        return Err(OpenError::Foreign { path: path.to_owned(), found: application });
    }
    let known = known();
    if version > known {
        let written_by = connection
            .query_row("SELECT written_by FROM about", [], |row| row.get::<_, String>(0))
            .unwrap_or_else(|_| "of unknown version".to_owned());
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known, written_by });
    }
    Ok(())
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Says who writes the file from now on, and has it give back space a piece at a time. A
/// file of an earlier format has to be written anew for that, which takes seconds: a large
/// one stays as it is, and reuses its space.
fn settle_in(path: &Path, connection: &Connection) -> rusqlite::Result<()> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let known: String = connection.query_row("SELECT written_by FROM about", [], |row| row.get(0))?;
    if known != VERSION {
        connection.execute("UPDATE about SET written_by = ?", [VERSION])?;
    }
    let mode: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
    if mode != INCREMENTAL && fs::metadata(path).is_ok_and(|file| file.len() <= CHECK_MAX) {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
        connection.execute_batch("VACUUM")?;
    }
    Ok(())
}

/// SQLite's number for `auto_vacuum = INCREMENTAL`.
const INCREMENTAL: i64 = 2;

/// The format of a file and the rows of its tables.
pub(crate) fn measure(connection: &Connection) -> rusqlite::Result<(u64, BTreeMap<String, u64>)> {
    let format = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut rows = BTreeMap::new();
    for table in ["kv", "messages", "deliveries", "timers", "inbox"] {
        let count = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        rows.insert(table.to_owned(), count);
    }
    Ok((format, rows))
}

/// The writer's settings.
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    // Acts on a new file only, and only before anything is in it.
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!("this file system cannot hold a write-ahead log (journal mode is {mode})")),
        ));
    }
    // FULL: an answered commit survives a power cut. Checkpoints are the writer's, so
    // that two connections never do one at once and no waiter pays for one. Mapped
    // memory would turn a disk error into the end of the process.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA mmap_size = 0;
         PRAGMA journal_size_limit = {LOG_KEPT};
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;"
    ))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Brings the file to the newest format, each step in a transaction of its own that
/// also raises `user_version`: one that is cut short has not happened.
fn migrate(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let fault = |error| fault(path, error);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    for (step, sql) in (1_i64..).zip(MIGRATIONS) {
        if step <= version {
            continue;
        }
        let transaction = connection.transaction().map_err(fault)?;
        transaction.execute_batch(sql).map_err(fault)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(fault)?;
        transaction.pragma_update(None, "user_version", step).map_err(fault)?;
        transaction.commit().map_err(fault)?;
    }
    Ok(())
}

/// Looks for damage after an unclean stop.
fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    if fs::metadata(path).is_ok_and(|file| file.len() > CHECK_MAX) {
        tracing::info!("the state file is not checked after the unclean stop: it is larger than 256 MiB");
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| fault(path, error))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: path.to_owned(), what: found }) }
}

pub(crate) fn fault(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Damaged { path, what: error.to_string() }
        }
        _ => OpenError::Database { path, source: error.into() },
    }
}
