//! The store under test: SQLite in a folder of its own. The suite `brokers` runs the same
//! tests with another module of this name.

use std::path::Path;
use std::sync::Arc;

use monopod_state::{OpenError, Settings, SqliteStore, Topology};
use tempfile::TempDir;

use crate::support::{Listener, topology};

pub type Opened = SqliteStore;

pub struct Home(TempDir);

impl Home {
    pub async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub async fn open(&self, topology: Topology, listener: Arc<Listener>) -> Opened {
        let settings = Settings { folder: self.path().to_owned(), topology };
        SqliteStore::open(settings, listener).unwrap()
    }

    /// The process ends without a word.
    pub async fn leave(&self, store: Opened) {
        drop(store);
    }

    /// How many rows a table has.
    pub async fn count(&self, _: &Opened, table: &str) -> i64 {
        let file = rusqlite::Connection::open(self.path().join("state.db")).unwrap();
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

pub fn open_in(folder: &Path) -> Result<(Arc<SqliteStore>, Arc<Listener>), OpenError> {
    let listener = Arc::new(Listener::default());
    let settings = Settings { folder: folder.to_owned(), topology: topology() };
    Ok((Arc::new(SqliteStore::open(settings, listener.clone())?), listener))
}
