//! `state`: what a unit of work costs on the embedded store, against SQLite with a transaction for
//! each; how fast the embedded broker moves messages; what size and waiting cost.
//!
//! Everything is in this process, over a real file with its fsyncs, without a guest: what a
//! component adds is in the figures of `engine`.

mod house;
mod pace;
mod size;
mod topics;
mod units;

use crate::book::Book;

pub use size::{ARGUMENT as WAITING, wait};

/// The name of these figures.
const NAME: &str = "state";
/// Rounds of each, and of its peers in between.
const ROUNDS: usize = 5;

/// Measures all of it.
pub async fn measure(book: &mut Book) {
    units::measure(book).await;
    topics::measure(book).await;
    size::measure(book).await;
}
