//! State: everything that must survive.
//!
//! [`SqliteStore`] keeps key-value state, inbox, topics, deliveries and timers in one
//! SQLite file, so that a unit of work is one transaction; one thread writes, and all
//! units that wait together share one fsync. [`LocalBlobs`] keeps large objects as
//! files and signs the URLs by which clients reach them.
//!
//! `monopod` (the binary) opens both and hands them to the other rooms as
//! `core::store::Store` and `core::blob::Blobs`. This is the only room that knows SQL.
//! It never calls a component, never decides when something is tried again (messaging
//! does), and never decides who may touch what (engine does).

mod apply;
mod backup;
mod blobs;
mod database;
mod dead;
mod error;
mod folder;
mod limits;
mod look;
mod meters;
mod operate;
mod prune;
mod read;
mod rows;
mod settings;
mod settle;
mod store;
mod writer;

pub use backup::{Backup, BackupError, Entry, export, import, verify};
pub use blobs::{BlobSettings, LocalBlobs, MAX_OBJECT, MAX_READ};
pub use error::OpenError;
pub use meters::Stats;
pub use settings::{Broker, DEAD_RETENTION, DEFAULT_RETENTION, Settings, Topic, Topology};
pub use store::SqliteStore;
