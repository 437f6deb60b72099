//! The store under test: PostgreSQL, with a database of its own for each test.

use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::{Duration, Instant};

use monopod_state::{OpenError, PostgresStore, Server, Topology};
use monopod_tests::services::postgres::Postgres;

use crate::support::Listener;

pub type Opened = PostgresStore;

/// One server for all tests that run at the same time; it ends with the last of them.
static SHARED: LazyLock<Mutex<Weak<Postgres>>> = LazyLock::new(Mutex::default);

pub fn shared() -> Arc<Postgres> {
    let mut shared = SHARED.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Postgres::start());
        *shared = Arc::downgrade(&started);
        started
    })
}

pub struct Home {
    pub postgres: Arc<Postgres>,
    pub server: Server,
}

impl Home {
    pub async fn new() -> Self {
        let postgres = tokio::task::spawn_blocking(shared).await.unwrap();
        let server = postgres.database();
        Self { postgres, server }
    }

    pub async fn open(&self, topology: Topology, listener: Arc<Listener>) -> Opened {
        open(&self.server, topology, listener).await
    }

    /// Everything that was handed over is done; nothing else is said.
    pub async fn leave(&self, store: Opened) {
        drop(store);
    }

    /// How many rows a table has.
    pub async fn count(&self, _: &Opened, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM monopod.{table}");
        self.postgres.psql(&self.server.database, &sql).unwrap().parse().unwrap()
    }
}

/// Opens a store as soon as the one before has let go, or its lease is over.
pub async fn open(server: &Server, topology: Topology, listener: Arc<Listener>) -> Opened {
    let began = Instant::now();
    loop {
        match PostgresStore::open(server.clone(), topology.clone(), listener.clone()).await {
            Err(OpenError::Held { .. }) if began.elapsed() < Duration::from_secs(10) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}
