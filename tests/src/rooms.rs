//! What an engine needs around it, for programs that have nothing but an engine: a real store and
//! real blobs in a folder, without topics.

use std::path::Path;
use std::sync::Arc;

use monopod_core::Millis;
use monopod_core::blob::Blobs;
use monopod_core::message::{DeliveryId, Message};
use monopod_core::name::ComponentName;
use monopod_core::store::{Committed, Store};
use monopod_state::{BlobSettings, LocalBlobs, SqliteStore};

struct Quiet;

impl Committed for Quiet {
    fn published(&self, _: u64, _: &Arc<Message>, _: &[DeliveryId]) {}
    fn timer_set(&self, _: Millis) {}
    fn redelivered(&self, _: &ComponentName) {}
}

/// The rooms beside the engine.
#[derive(Clone)]
pub struct Rooms {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
}

impl Rooms {
    /// In the folder `state`, which nobody else has open.
    pub fn open(state: &Path) -> Self {
        let topology = monopod_state::Topology { topics: Default::default() };
        let settings = monopod_state::Settings { folder: state.to_owned(), topology };
        let blobs = BlobSettings { folder: state.to_owned(), public_url: "https://localhost".into() };
        Self {
            store: Arc::new(SqliteStore::open(settings, Arc::new(Quiet)).unwrap()),
            blobs: Arc::new(LocalBlobs::open(blobs).unwrap()),
        }
    }

    /// An engine's settings, with compiled code in `cache`.
    pub fn around(&self, cache: &Path) -> monopod_engine::Settings {
        monopod_engine::Settings {
            cache: cache.to_owned(),
            store: self.store.clone(),
            blobs: self.blobs.clone(),
            outgoing: Arc::new(crate::nowhere::Nowhere),
            progress: Box::new(|_| {}),
        }
    }
}
