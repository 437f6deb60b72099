//! What the command line and the running platform say to each other about topics.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod_core::Millis;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::topics::{Place, Selection, Stored};
use serde::{Deserialize, Serialize};

/// A question or a wish.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// All topics, measured: `Vec<TopicStatus>`.
    Topics,
    /// One message: `Option<View>`.
    Message { sequence: u64 },
    /// Messages in order: `Vec<View>`.
    Messages { of: Selection, after: Place, limit: usize },
    /// The last messages, newest first: `Vec<View>`.
    Newest { of: Selection, limit: usize },
    /// A message by hand: its id.
    Publish {
        topic: TopicName,
        key: Option<String>,
        headers: Vec<(String, String)>,
        /// Base64.
        payload: String,
    },
    /// A step of a replay: `Replayed`.
    Replay { of: Selection, consumer: Option<ComponentName>, again: bool, after: Place },
    /// A step of a skip: `Replayed`.
    Skip { topic: TopicName, consumer: ComponentName, to: Millis },
    /// A dead letter brought back: nothing.
    Retry { sequence: u64 },
}

/// A message as a person or a script sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The store's number of it.
    pub sequence: u64,
    /// Its own name.
    pub id: String,
    /// Where it was published.
    pub topic: TopicName,
    /// Its lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When, in milliseconds since 1970.
    pub published_at: Millis,
    /// The action it belongs to.
    pub correlation: String,
    /// The trace it belongs to.
    pub trace: String,
    /// Who began that action: the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The headers; of one that stands there twice, the last.
    pub headers: BTreeMap<String, String>,
    /// The content, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The content, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl View {
    /// Where it stands in its topic.
    pub fn place(&self) -> Place {
        Place { published_at: self.published_at, sequence: self.sequence }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl From<&Stored> for View {
    fn from(stored: &Stored) -> Self {
        let message = &*stored.message;
        let text = std::str::from_utf8(&message.payload).ok().map(str::to_owned);
        Self {
            sequence: stored.sequence,
            id: message.id.to_string(),
            topic: message.topic.clone(),
            key: message.key.as_deref().map(str::to_owned),
            published_at: message.published_at,
            correlation: message.correlation.as_str().to_owned(),
            trace: message.trace.to_string(),
            owner: message.owner.as_ref().map(|owner| owner.subject.to_string()),
            headers: message.headers.iter().cloned().collect(),
            base64: text.is_none().then(|| BASE64.encode(&message.payload)),
            text,
        }
    }
}
