//! Retention: asks the store now and then to drop what its topics need not keep.

use std::time::Duration;

use crate::dispatcher::Room;

/// How often. Retention is counted in days, so minutes are exact enough, and the store
/// has little to drop each time.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// Prunes until shutdown. What fails is left to the next time.
pub(crate) async fn run(room: Room) {
    loop {
        tokio::select! {
            () = room.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match room.store.prune((room.clock)()).await {
            Ok(0) => {}
            Ok(messages) => tracing::debug!(messages, "old messages were dropped"),
            Err(error) => tracing::warn!(%error, "old messages could not be dropped"),
        }
    }
}
