//! RabbitMQ behind topics, by AMQP 0-9-1.
//!
//! Two connections, because a broker in need stops reading from who publishes: [`give`] sends
//! and waits for confirmations, [`take`] hands over and acknowledges. Each is watched by a
//! supervisor of its own that, whatever fails on it, drops the connection and builds all anew:
//! channels, declarations, prefetch, consumers. lapin's own recovery is off: it brings back
//! connections, but not channels that the broker closed.

mod give;
mod line;
mod map;
mod take;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::Store;
use tokio_util::sync::CancellationToken;

pub(crate) use give::Giver;

use crate::broker::{Patience, Progress, Seal};

/// A RabbitMQ and the topics behind which it stands.
#[derive(Debug, Clone)]
pub struct Rabbit {
    /// `amqp://host:port/vhost`, or `amqps` for TLS; without user and password.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// The file with the password, read at each connection; none: `guest`, which RabbitMQ
    /// takes from this machine only.
    pub password: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the machine's own.
    pub ca: Option<PathBuf>,
    /// How this platform calls itself there.
    pub client: String,
    /// The topics.
    pub topics: BTreeMap<TopicName, RabbitTopic>,
    /// On whose owners' word.
    pub seal: Seal,
    /// How long it is waited for.
    pub patience: Patience,
}

/// Where a topic is in RabbitMQ. Names have at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitTopic {
    /// What is published to: durable.
    pub exchange: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// With which key messages are published, and the queue is bound.
    pub routing_key: String,
    /// What is taken from: durable; none: nothing is.
    pub queue: Option<String>,
    /// Whether the queue is replicated (`x-queue-type: quorum`).
    pub quorum: bool,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To every queue bound to it: an event.
    Fanout,
    /// To the queues bound with the routing key: a command.
    Direct,
    /// To the queues whose pattern fits the routing key.
    Topic,
}

/// What both directions need.
pub(crate) struct Parts {
    pub(crate) name: ComponentName,
    pub(crate) rabbit: Rabbit,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) progress: Arc<Progress>,
    /// Nothing new is begun.
    pub(crate) shutdown: CancellationToken,
    /// Everything that was begun has ended.
    pub(crate) finished: CancellationToken,
}

impl Parts {
    /// Takes until shutdown, whatever happens to the broker.
    pub(crate) async fn take(self: Arc<Self>) {
        take::run(&self).await;
    }
}
