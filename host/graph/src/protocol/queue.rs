//! What waits to be sent to one WebSocket client: bounded in messages and in bytes, so
//! that a client that does not read costs a known amount and is then let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use tokio::sync::mpsc;

/// The bytes that may wait; one message is taken whatever its size, or large answers
/// could never be sent.
const MAX_BYTES: usize = 4 << 20;

/// The client does not keep up, or has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The end that operations write to.
#[derive(Clone)]
pub struct Queue {
    messages: mpsc::Sender<Message>,
    bytes: Arc<AtomicUsize>,
}

/// The end that the socket takes from.
pub struct Waiting {
    messages: mpsc::Receiver<Message>,
    bytes: Arc<AtomicUsize>,
}

/// A queue for at most `max` messages.
pub fn queue(max: usize) -> (Queue, Waiting) {
    let (sender, receiver) = mpsc::channel(max.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    (Queue { messages: sender, bytes: Arc::clone(&bytes) }, Waiting { messages: receiver, bytes })
}

impl Queue {
    /// Queues a text.
    pub fn text(&self, text: Vec<u8>) -> Result<(), Full> {
        // Everything that is written here is JSON built from valid UTF-8.
        let text = Utf8Bytes::try_from(Bytes::from(text)).map_err(|_| Full)?;
        self.put(Message::Text(text))
    }

    /// Queues any message.
    pub fn put(&self, message: Message) -> Result<(), Full> {
        let length = length(&message);
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before > 0 && before + length > MAX_BYTES {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(Full);
        }
        self.messages.try_send(message).map_err(|_| {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            Full
        })
    }
}

impl Waiting {
    /// The next message; none when every [`Queue`] is gone.
    pub async fn next(&mut self) -> Option<Message> {
        let message = self.messages.recv().await?;
        self.bytes.fetch_sub(length(&message), Ordering::Relaxed);
        Some(message)
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_takes_so_many_messages_and_bytes_and_no_more() {
        let (queue, _waiting) = queue(2);
        assert_eq!(queue.text(vec![b'a']), Ok(()));
        assert_eq!(queue.text(vec![b'a'; MAX_BYTES]), Err(Full));
        assert_eq!(queue.text(vec![b'a'; 100]), Ok(()));
        assert_eq!(queue.text(vec![b'a']), Err(Full));
        let (queue, _waiting) = super::queue(2);
        assert_eq!(queue.text(vec![b'a'; MAX_BYTES + 1]), Ok(()), "one large answer is let through");
        assert_eq!(queue.text(vec![b'a']), Err(Full));
    }
}
