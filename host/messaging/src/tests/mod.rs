//! The promises of this room, on a store and components made of memory, in tokio's
//! paused time: a test of two minutes of back-off takes none.

mod drain;
mod failures;
mod lanes;
mod restart;
mod timers;
mod watchers;
mod world;
