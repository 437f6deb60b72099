//! Back-ups: made while the store is in use, verified, and put in place of nothing.
//!
//! A back-up is a folder: `state.db` as it was at one moment, the blobs, the key that
//! signs their URLs, and `backup.json` with the digest of every file. The database comes
//! first, the blobs after: whatever it speaks of is there. Used by the command line, by
//! itself: neither needs the process that has the state, nor disturbs it.
//!
//! Not in it: certificates and keys of the development issuer, which are made anew, and
//! compiled code.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use monopod_core::{Millis, now};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{OpenError, database, folder};

/// What a back-up says of itself.
const LIST: &str = "backup.json";
/// The blobs, in the state folder and in the back-up.
const OBJECTS: &str = "blobs/objects";
/// The key that signs URLs.
const KEY: &str = "blobs.key";
/// Bytes read at once when a file is copied or looked at.
const PIECE: usize = 256 << 10;
/// The longest `backup.json` that is read: a hundred bytes for each of a million blobs.
const MAX_LIST: u64 = 128 << 20;

/// What is in a back-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The version of the program that made it.
    pub made_by: String,
    /// When the database was copied.
    pub made_at: Millis,
    /// The database's format.
    pub format: u64,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Every file by its path in the back-up.
    pub files: BTreeMap<String, Entry>,
}

/// A file of a back-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl Backup {
    /// All files together, in bytes.
    pub fn size(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }
}

/// Why there is no back-up, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The state cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is something where the back-up or the state should go.
    #[error("{} is there already; give a folder that does not exist", .0.display())]
    InTheWay(PathBuf),
    /// There is nothing to back up or to verify.
    #[error("{} holds neither a state (state.db) nor a back-up (backup.json)", .0.display())]
    Nothing(PathBuf),
    /// The back-up is not whole.
    #[error("{}: {what}; use another back-up", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

fn fault(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

fn damaged(path: &Path, what: impl Into<String>) -> BackupError {
    BackupError::Damaged { path: path.to_owned(), what: what.into() }
}

/// Copies the state in `state` to the new folder `to`. The store may be in use: units
/// go on, and only its log grows while this lasts.
pub fn export(state: &Path, to: &Path) -> Result<Backup, BackupError> {
    let source = state.join(database::FILE);
    if !source.is_file() {
        return Err(BackupError::Nothing(state.to_owned()));
    }
    if to.exists() {
        return Err(BackupError::InTheWay(to.to_owned()));
    }
    // Under another name until it is whole: what is found under its own is a back-up.
    let staging = beside(to, "partial");
    let _ = fs::remove_dir_all(&staging);
    folder::make(&staging)?;
    let made_at = now();
    let database = staging.join(database::FILE);
    let reader = database::open_reader(&source)?;
    let target = database.to_str().ok_or_else(|| damaged(&database, "the path is not UTF-8"))?;
    reader.execute("VACUUM INTO ?", [target]).map_err(|error| database::fault(&source, error))?;
    drop(reader);
    let copy = database::open_reader(&database)?;
    let (format, rows) = database::measure(&copy).map_err(|error| database::fault(&database, error))?;
    drop(copy);
    let mut backup = Backup {
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        format,
        rows,
        files: BTreeMap::new(),
    };
    File::open(&database).and_then(|file| file.sync_all()).map_err(fault(&database))?;
    backup.files.insert(database::FILE.to_owned(), digest(&database)?);
    let mut copy = |path: String| {
        let entry = copy_file(&state.join(&path), &staging.join(&path))?;
        backup.files.insert(path, entry);
        Ok::<_, BackupError>(())
    };
    if state.join(KEY).is_file() {
        copy(KEY.to_owned())?;
    }
    for path in objects(state)? {
        copy(path)?;
    }
    let list = staging.join(LIST);
    let text = serde_json::to_vec_pretty(&backup).map_err(|error| damaged(&list, error.to_string()))?;
    create(&list)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .map_err(fault(&list))?;
    settle(&staging, to)?;
    Ok(backup)
}

/// Looks at every byte of a back-up, or at the database of a state folder, in use or not.
pub fn verify(folder: &Path) -> Result<Backup, BackupError> {
    let list = folder.join(LIST);
    if !list.is_file() {
        let path = folder.join(database::FILE);
        if !path.is_file() {
            return Err(BackupError::Nothing(folder.to_owned()));
        }
        let (format, rows) = sound(&path)?;
        let made_by = env!("CARGO_PKG_VERSION").to_owned();
        return Ok(Backup { made_by, made_at: now(), format, rows, files: BTreeMap::new() });
    }
    let mut text = Vec::new();
    let file = File::open(&list).map_err(fault(&list))?;
    file.take(MAX_LIST).read_to_end(&mut text).map_err(fault(&list))?;
    let backup: Backup = serde_json::from_slice(&text)
        .map_err(|error| damaged(&list, format!("it cannot be read: {error}")))?;
    for (path, entry) in &backup.files {
        let path = folder.join(inside(&list, path)?);
        let found = digest(&path)?;
        if found.size != entry.size {
            return Err(damaged(&path, format!("it has {} bytes and had {}", found.size, entry.size)));
        }
        if found.sha256 != entry.sha256 {
            return Err(damaged(&path, "its content is not what was backed up"));
        }
    }
    let path = folder.join(database::FILE);
    if !backup.files.contains_key(database::FILE) {
        return Err(damaged(&list, "it lists no database"));
    }
    let (format, rows) = sound(&path)?;
    if (format, &rows) != (backup.format, &backup.rows) {
        return Err(damaged(&path, "it has other rows than were backed up"));
    }
    Ok(backup)
}

/// Puts a verified back-up in place as the state folder `state`, which may hold anything
/// but a state.
pub fn import(backup: &Path, state: &Path) -> Result<Backup, BackupError> {
    let found = verify(backup)?;
    if found.files.is_empty() {
        return Err(damaged(
            backup,
            "it is a state folder and not a back-up; make one with `monopod state export`",
        ));
    }
    folder::make(state)?;
    // Keeps a process from beginning a state of its own here meanwhile.
    let _lock = folder::lock(state, crate::store::LOCK)?;
    for path in [database::FILE, KEY, OBJECTS] {
        let path = state.join(path);
        if path.exists() {
            return Err(BackupError::InTheWay(path));
        }
    }
    let copy = |path: &String| {
        let entry = copy_file(&backup.join(path), &state.join(path))?;
        if found.files.get(path) == Some(&entry) {
            Ok(())
        } else {
            Err(damaged(&backup.join(path), "it changed while it was copied"))
        }
    };
    // The database last: without it the folder is empty state, with it all is there.
    found.files.keys().filter(|path| *path != database::FILE).try_for_each(copy)?;
    copy(&database::FILE.to_owned())?;
    folder::sync(state).map_err(fault(state))?;
    Ok(found)
}

/// The format and the rows of a database that is sound.
fn sound(path: &Path) -> Result<(u64, BTreeMap<String, u64>), BackupError> {
    let connection = database::open_reader(path)?;
    let wrong = |error| BackupError::from(database::fault(path, error));
    database::identify(path, &connection)?;
    let said: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(wrong)?;
    if said != "ok" {
        return Err(damaged(path, said));
    }
    let orphans = foreign(&connection).map_err(wrong)?;
    if orphans > 0 {
        return Err(damaged(path, format!("{orphans} deliveries have no message")));
    }
    database::measure(&connection).map_err(wrong)
}

fn foreign(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut found = 0;
    while rows.next()?.is_some() {
        found += 1;
    }
    Ok(found)
}

/// The paths of all blobs, relative to the state folder.
fn objects(state: &Path) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    let root = state.join(OBJECTS);
    if !root.is_dir() {
        return Ok(found);
    }
    for container in fs::read_dir(&root).map_err(fault(&root))? {
        let container = container.map_err(fault(&root))?.path();
        for object in fs::read_dir(&container).map_err(fault(&container))? {
            let path = object.map_err(fault(&container))?.path();
            let names = [container.file_name(), path.file_name()];
            if let [Some(container), Some(object)] = names.map(|name| name.and_then(|name| name.to_str())) {
                found.push(format!("{OBJECTS}/{container}/{object}"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path of a list, which must lead nowhere else.
fn inside<'a>(list: &Path, path: &'a str) -> Result<&'a Path, BackupError> {
    let path = Path::new(path);
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if plain { Ok(path) } else { Err(damaged(list, format!("it names {}", path.display()))) }
}

fn copy_file(from: &Path, to: &Path) -> Result<Entry, BackupError> {
    if let Some(parent) = to.parent() {
        folder::make(parent)?;
    }
    let mut source = File::open(from).map_err(fault(from))?;
    let mut target = create(to).map_err(fault(to))?;
    let entry = pump(&mut source, &mut target).map_err(fault(to))?;
    target.sync_all().map_err(fault(to))?;
    if let Some(parent) = to.parent() {
        folder::sync(parent).map_err(fault(parent))?;
    }
    Ok(entry)
}

fn digest(path: &Path) -> Result<Entry, BackupError> {
    let mut file = File::open(path).map_err(fault(path))?;
    pump(&mut file, &mut io::sink()).map_err(fault(path))
}

fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<Entry> {
    let (mut buffer, mut size, mut digest) = (vec![0; PIECE], 0, Sha256::new());
    loop {
        let read = from.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        to.write_all(piece)?;
        digest.update(piece);
        size += piece.len() as u64;
    }
    Ok(Entry { size, sha256: hex::encode(digest.finalize()) })
}

/// A new file for this user alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// Gives what is whole its name, durably.
fn settle(from: &Path, to: &Path) -> Result<(), BackupError> {
    folder::sync(from).map_err(fault(from))?;
    fs::rename(from, to).map_err(fault(to))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder::sync(parent).map_err(fault(parent))
}
