//! What the store is told when it opens. Made by `monopod` from the platform file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use monopod_core::name::{ComponentName, MAX_NAME, TopicName};
use monopod_core::topics::Refusal;

/// How long a topic keeps its messages unless told otherwise: a week, so that what
/// broke on a Friday can be looked at, and seen again, on Monday.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 86_400);
/// How long dead letters are kept unless their topic is declared: they wait for a
/// person, who may be on holiday.
pub const DEAD_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Where the store lies and what it serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder for everything that must survive. It is made if it is not there.
    pub folder: PathBuf,
    /// Topics and who consumes them.
    pub topology: Topology,
}

/// The declared topics. Dead-letter topics (`<topic>.dead`, `timers.<component>.dead`)
/// need no declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// By name.
    pub topics: BTreeMap<TopicName, Topic>,
}

/// A declared topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// How long messages are kept after they were published. A message that has not
    /// been handled yet is kept however old it is.
    pub retention: Duration,
    /// Whether of each key only the last message is kept, as soon as the others are
    /// handled. Messages without a key are kept as in any topic.
    pub compact: bool,
    /// The components that are given each message, once each. A consumer that is added
    /// is given what is published from then on.
    pub consumers: BTreeSet<ComponentName>,
    /// The broker behind the topic, if there is one.
    pub broker: Option<Broker>,
}

/// The broker behind a topic. What a unit publishes is delivered to the broker alone; what
/// the broker hands over goes to the consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its name, which no component has: it has deliveries as a consumer does.
    pub name: ComponentName,
    /// Whether messages come back from it: then one that it has taken is not kept here.
    pub returns: bool,
}

impl Topology {
    /// Who is given a message published to `topic` now.
    pub(crate) fn consumers(&self, topic: &TopicName) -> impl Iterator<Item = &ComponentName> {
        self.topics.get(topic).into_iter().flat_map(|topic| &topic.consumers)
    }

    /// To whom a message that is published to `topic` now goes first, if not to its consumers.
    pub(crate) fn broker(&self, topic: &TopicName) -> Option<&Broker> {
        self.topics.get(topic)?.broker.as_ref()
    }

    /// Everybody who can have deliveries of `topic`.
    pub(crate) fn receivers(&self, topic: &TopicName) -> impl Iterator<Item = &ComponentName> {
        self.consumers(topic).chain(self.broker(topic).map(|broker| &broker.name))
    }

    /// Whether messages of `topic` can be delivered to `consumer`, or to anybody.
    pub(crate) fn may_replay(
        &self,
        topic: &TopicName,
        consumer: Option<&ComponentName>,
    ) -> Result<(), Refusal> {
        let Some(declared) = self.topics.get(topic) else {
            return Err(Refusal::Wrong(format!("there is no topic `{topic}`; see `monopod topics`")));
        };
        match consumer {
            Some(consumer) if !self.receivers(topic).any(|known| known == consumer) => {
                let known: Vec<_> = self.receivers(topic).map(ComponentName::as_str).collect();
                let known =
                    if known.is_empty() { "nobody does".to_owned() } else { known.join(", ") + " does" };
                Err(Refusal::Wrong(format!("`{consumer}` does not consume `{topic}`; {known}")))
            }
            None if declared.consumers.is_empty() => {
                Err(Refusal::Wrong(format!("nobody consumes `{topic}`, so there is nobody to deliver to")))
            }
            _ => Ok(()),
        }
    }

    /// Whether only the last message of each key of `topic` is kept.
    pub(crate) fn is_compacted(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|topic| topic.compact)
    }

    /// How long messages of `topic` are kept.
    pub(crate) fn retention(&self, topic: &TopicName) -> Duration {
        match self.topics.get(topic) {
            Some(topic) => topic.retention,
            None if is_dead(topic) => DEAD_RETENTION,
            None => DEFAULT_RETENTION,
        }
    }

    /// How long inbox marks are kept: as long as a message with the same id can still
    /// be met.
    pub(crate) fn longest_retention(&self) -> Duration {
        self.topics.values().map(|topic| topic.retention).fold(DEFAULT_RETENTION, Duration::max)
    }
}

const DEAD: &str = ".dead";

/// Whether dead letters, and nothing else, go to this topic.
pub(crate) fn is_dead(topic: &TopicName) -> bool {
    topic.as_str().ends_with(DEAD)
}

/// Where the messages of `topic` go that cannot be handled.
pub(crate) fn dead_topic(topic: &TopicName) -> Option<TopicName> {
    dead(topic.as_str())
}

/// Where the timers of `component` go that cannot be handled.
pub(crate) fn dead_timers(component: &ComponentName) -> Option<TopicName> {
    dead(&format!("timers.{component}"))
}

/// `<name>.dead`, cut so that it is a name still. Only a name within five characters
/// of the limit is ever cut; the header `x-dead-component` and the message itself
/// tell what it was.
fn dead(name: &str) -> Option<TopicName> {
    let cut = name.get(..name.len().min(MAX_NAME - DEAD.len()))?;
    let cut = cut.trim_end_matches(['-', '.']);
    format!("{cut}{DEAD}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_and_component_has_a_dead_letter_topic() {
        let check = |name: &str, expect: &str| {
            assert_eq!(dead_topic(&name.parse().unwrap()).unwrap().as_str(), expect, "{name}");
        };
        check("orders", "orders.dead");
        check("orders.dead", "orders.dead.dead");
        check(&"x".repeat(63), &format!("{}.dead", "x".repeat(58)));
        check(&format!("{}.yyyyy", "x".repeat(57)), &format!("{}.dead", "x".repeat(57)));
        let component = "c".repeat(63).parse().unwrap();
        assert!(dead_timers(&component).is_some());
    }
}
