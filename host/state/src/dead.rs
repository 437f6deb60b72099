//! Dead letters: what a message or timer becomes that could not be handled, and how it
//! is made whole again. No statement stands here: both stores share it.

use std::sync::Arc;

use monopod_core::Millis;
use monopod_core::message::{Message, Timer};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::Error;
use monopod_core::topics::Refusal;

use crate::settings;

/// Every header of a dead letter that the platform sets begins with this.
const PREFIX: &str = "x-dead-";
/// Why it is dead: the last failure.
const REASON: &str = "x-dead-reason";
/// Who could not handle it.
const COMPONENT: &str = "x-dead-component";
/// How often it was tried.
const ATTEMPTS: &str = "x-dead-attempts";
/// The first failure, where it was another one: often the cause, the last its consequence.
const FIRST_REASON: &str = "x-dead-first-reason";
/// The topic, id and place of the message; a timer has none of them.
const TOPIC: &str = "x-dead-topic";
const ID: &str = "x-dead-id";
const SEQUENCE: &str = "x-dead-sequence";
/// When the message was published first.
const PUBLISHED: &str = "x-dead-published-at";

/// How often it was tried, and what went wrong the first time.
pub(crate) struct Failed {
    pub attempt: u32,
    pub first_reason: Option<String>,
}

impl Failed {
    fn headers(&self, component: &ComponentName, reason: &str) -> Vec<(String, String)> {
        let mut headers = vec![
            (REASON.to_owned(), reason.to_owned()),
            (COMPONENT.to_owned(), component.to_string()),
            (ATTEMPTS.to_owned(), self.attempt.to_string()),
        ];
        if let Some(first) = self.first_reason.as_ref().filter(|first| *first != reason) {
            headers.push((FIRST_REASON.to_owned(), first.clone()));
        }
        headers
    }
}

/// The dead letter of a message that stands at `sequence`. A message of its own, with the
/// headers of the original and those that say why.
pub(crate) fn dead_letter(
    mut message: Message,
    sequence: u64,
    consumer: &ComponentName,
    failed: &Failed,
    reason: &str,
) -> Result<Message, Error> {
    message.headers.retain(|(name, _)| !name.starts_with(PREFIX));
    message.headers.extend(failed.headers(consumer, reason));
    let more = [
        (TOPIC, message.topic.to_string()),
        (ID, message.id.to_string()),
        (SEQUENCE, sequence.to_string()),
        (PUBLISHED, message.published_at.to_string()),
    ];
    message.headers.extend(more.map(|(name, value)| (name.to_owned(), value)));
    message.id = new_id();
    message.topic = named(settings::dead_topic(&message.topic))?;
    Ok(message)
}

/// The dead letter of a timer.
pub(crate) fn dead_timer(timer: Timer, at: Millis, failed: &Failed, reason: &str) -> Result<Message, Error> {
    Ok(Message {
        id: new_id(),
        topic: named(settings::dead_timers(&timer.id.component))?,
        headers: failed.headers(&timer.id.component, reason),
        key: Some(timer.id.name),
        payload: timer.payload,
        correlation: timer.correlation,
        trace: timer.trace,
        owner: timer.owner,
        published_at: at,
    })
}

/// What a dead letter was before.
pub(crate) enum Before {
    /// A message: the one that stands at `sequence`, if retention has not taken it; else
    /// this one, which is the same.
    Message { consumer: ComponentName, sequence: u64, message: Message },
    /// A timer of this component, named by the dead letter's key.
    Timer { component: ComponentName, message: Message },
}

/// Makes a dead letter whole again.
pub(crate) fn before(mut letter: Message) -> Result<Before, Refusal> {
    let header = |name: &str| {
        let found = letter.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    };
    let missing = |name: &str| {
        let (topic, id) = (&letter.topic, &letter.id);
        Refusal::Wrong(format!(
            "message {id} of `{topic}` is not a dead letter this version can retry: it has no usable `{name}`"
        ))
    };
    // Only the platform publishes to these topics; elsewhere the headers could be anybody's.
    if !settings::is_dead(&letter.topic) {
        return Err(missing("topic that ends in `.dead`"));
    }
    let consumer = header(COMPONENT).and_then(|name| name.parse().ok()).ok_or_else(|| missing(COMPONENT))?;
    let Some(id) = header(ID).map(Arc::from) else {
        letter.headers.clear();
        return Ok(Before::Timer { component: consumer, message: letter });
    };
    let topic = header(TOPIC).and_then(|name| name.parse().ok()).ok_or_else(|| missing(TOPIC))?;
    let sequence = header(SEQUENCE).and_then(|n| n.parse().ok()).ok_or_else(|| missing(SEQUENCE))?;
    let published_at = header(PUBLISHED).and_then(|n| n.parse().ok()).ok_or_else(|| missing(PUBLISHED))?;
    letter.headers.retain(|(name, _)| !name.starts_with(PREFIX));
    let message = Message { id, topic, published_at, ..letter };
    Ok(Before::Message { consumer, sequence, message })
}

fn new_id() -> Arc<str> {
    uuid::Uuid::now_v7().to_string().into()
}

fn named(topic: Option<TopicName>) -> Result<TopicName, Error> {
    topic.ok_or_else(|| Error::Unavailable("there is no name for the dead-letter topic".into()))
}
