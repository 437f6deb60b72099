//! What waits to be sent to one WebSocket client: bounded in messages and in bytes. When
//! it is full the sender waits a while, so that a burst does no harm; a client that takes
//! nothing for so long is let go, and has cost a known amount of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// The bytes that may wait. A longer message counts as this long, or it could never be sent.
const MAX_BYTES: u32 = 4 << 20;

/// The client does not keep up, or has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The end that operations write to.
#[derive(Clone)]
pub struct Queue {
    messages: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    patience: Duration,
}

/// The end that the socket takes from.
pub struct Waiting {
    messages: mpsc::Receiver<Message>,
    room: Arc<Semaphore>,
}

/// A queue for at most `max` messages, in which a sender waits for room for `patience`.
pub fn queue(max: usize, patience: Duration) -> (Queue, Waiting) {
    let (sender, receiver) = mpsc::channel(max.max(1));
    // The constant is far below the semaphore's own limit.
    let room = Arc::new(Semaphore::new(MAX_BYTES as usize));
    (Queue { messages: sender, room: Arc::clone(&room), patience }, Waiting { messages: receiver, room })
}

impl Queue {
    /// Queues a text. Cancel-safe: what was not queued leaves no trace.
    pub async fn text(&self, text: Vec<u8>) -> Result<(), Full> {
        // Everything that is written here is JSON built from valid UTF-8.
        let text = Utf8Bytes::try_from(Bytes::from(text)).map_err(|_| Full)?;
        self.put(Message::Text(text)).await
    }

    /// Queues any message.
    pub async fn put(&self, message: Message) -> Result<(), Full> {
        let waiting = async {
            let room = self.room.acquire_many(length(&message)).await.map_err(|_| Full)?;
            let place = self.messages.reserve().await.map_err(|_| Full)?;
            // Given back when the message is taken.
            room.forget();
            place.send(message);
            Ok(())
        };
        timeout(self.patience, waiting).await.unwrap_or(Err(Full))
    }
}

impl Waiting {
    /// The next message; none when every [`Queue`] is gone.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.messages.recv().await?;
        self.room.add_permits(length(&message) as usize);
        Some(message)
    }
}

fn length(message: &Message) -> u32 {
    let bytes = match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    };
    u32::try_from(bytes).map_or(MAX_BYTES, |bytes| bytes.min(MAX_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const LONG: usize = MAX_BYTES as usize;

    #[tokio::test]
    async fn a_queue_takes_so_many_messages_and_bytes_and_no_more() {
        let (queue, mut waiting) = queue(2, SHORT);
        assert_eq!(queue.text(vec![b'a']).await, Ok(()));
        assert_eq!(queue.text(vec![b'a'; LONG]).await, Err(Full));
        assert_eq!(queue.text(vec![b'a'; 100]).await, Ok(()));
        assert_eq!(queue.text(vec![b'a']).await, Err(Full));
        waiting.next().await;
        assert_eq!(queue.text(vec![b'a']).await, Ok(()));
        let (queue, mut waiting) = super::queue(2, SHORT);
        assert_eq!(queue.text(vec![b'a'; LONG + 1]).await, Ok(()), "one large answer is let through");
        assert_eq!(queue.text(vec![b'a']).await, Err(Full));
        waiting.next().await;
        assert_eq!(queue.text(vec![b'a'; LONG]).await, Ok(()));
    }

    #[tokio::test]
    async fn a_burst_waits_for_a_client_that_takes() {
        let (queue, mut waiting) = queue(2, Duration::from_secs(10));
        let sending = async {
            for _ in 0..1_000 {
                queue.text(vec![b'a'; 10_000]).await.unwrap();
            }
        };
        let taking = async {
            for _ in 0..1_000 {
                waiting.next().await.unwrap();
            }
        };
        tokio::join!(sending, taking);
    }
}
