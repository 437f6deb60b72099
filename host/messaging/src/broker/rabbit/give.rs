//! To RabbitMQ: each message persistent and `mandatory`, on a channel with confirmations. It
//! is sent when the broker has confirmed it and has not given it back.

use std::sync::Arc;

use futures_util::FutureExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use monopod_core::BoxFuture;
use monopod_core::message::Message;
use monopod_core::unit::MAX_UNIT;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::line::{Fault, short, supervise};
use super::{Parts, RabbitTopic, map};
use crate::broker::{Carried, Carrier, Side, UNDER_WAY_BYTES};

/// Sends to a RabbitMQ.
pub(crate) struct Giver {
    parts: Arc<Parts>,
    /// The line there is now.
    line: watch::Sender<Option<Arc<Line>>>,
    bytes: Semaphore,
}

/// A channel with confirmations.
struct Line {
    connection: Arc<lapin::Connection>,
    channel: Channel,
    /// Why it is given up, once it is.
    broken: watch::Sender<Option<String>>,
}

impl Line {
    fn give_up(&self, why: String) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            if first {
                *broken = Some(why);
            }
            first
        });
    }

    /// Returns when it is given up, and says why.
    async fn broken(&self) -> String {
        let mut broken = self.broken.subscribe();
        let why = broken.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_default()
    }
}

impl Giver {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self { parts, line: watch::Sender::new(None), bytes: Semaphore::new(UNDER_WAY_BYTES) }
    }

    /// Keeps a line up until everything that was begun has ended.
    pub(crate) async fn run(self: Arc<Self>) {
        let finished = self.parts.finished.clone();
        supervise(&self.parts, Side::Giving, &finished, |connection| self.hold(connection)).await;
        self.line.send_replace(None);
    }

    /// Offers a line on this connection until it is given up.
    async fn hold(&self, connection: Arc<lapin::Connection>) -> Result<(), Fault> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let line = Arc::new(Line { connection, channel, broken: watch::Sender::new(None) });
        // Whoever has the line when this is dropped learns it from the line itself.
        let _withdraw = Withdraw { giver: self, line: Arc::clone(&line) };
        self.line.send_replace(Some(Arc::clone(&line)));
        tokio::select! {
            why = line.broken() => Err(Fault::Away(why)),
            () = self.parts.finished.cancelled() => Ok(()),
        }
    }

    /// The line, once there is one; none if the platform stops first.
    async fn line(&self) -> Option<Arc<Line>> {
        let mut lines = self.line.subscribe();
        tokio::select! {
            biased;
            found = lines.wait_for(Option::is_some) => found.ok().and_then(|line| line.clone()),
            () = self.parts.shutdown.cancelled() => None,
        }
    }

    async fn send(&self, message: &Message, at: &RabbitTopic) -> Carried {
        let size = message.payload.len().clamp(1, MAX_UNIT);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let Ok(_room) = self.bytes.acquire_many(size).await else { return Carried::Away };
        let Some(line) = self.line().await else { return Carried::Away };
        let sent = match map::outgoing(message, &self.parts.rabbit.seal) {
            Ok(properties) => properties,
            Err(why) => return Carried::Refused(why),
        };
        let confirmed = publish(&line.channel, &at.exchange, &at.routing_key, &message.payload, sent).fuse();
        let mut confirmed = std::pin::pin!(confirmed);
        loop {
            tokio::select! {
                result = &mut confirmed => return match result {
                    Ok(()) => Carried::Confirmed,
                    Err(Unsent::Refused(why)) => Carried::Refused(why),
                    Err(Unsent::Lost(why)) => {
                        line.give_up(why);
                        Carried::Away
                    }
                },
                _why = line.broken() => return Carried::Away,
                () = sleep(self.parts.rabbit.patience.confirm) => {
                    // One that says it is in need is waited for as long as it lives.
                    if !line.connection.status().blocked() {
                        line.give_up(format!(
                            "no confirmation within {} ms", self.parts.rabbit.patience.confirm.as_millis()
                        ));
                    }
                }
            }
        }
    }
}

impl Carrier for Giver {
    fn carry<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Carried> {
        Box::pin(async move {
            let Some(at) = self.parts.rabbit.topics.get(&message.topic) else {
                let (topic, name) = (&message.topic, &self.parts.name);
                return Carried::Refused(format!("topic `{topic}` no longer has `{name}` as its backend"));
            };
            self.send(message, at).await
        })
    }
}

/// Takes the line away when its connection ends.
struct Withdraw<'a> {
    giver: &'a Giver,
    line: Arc<Line>,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.giver.line.send_replace(None);
        self.line.give_up("the connection was lost".to_owned());
    }
}

/// Why a message is not known to be sent.
pub(super) enum Unsent {
    /// The broker said no.
    Refused(String),
    /// The line is of no use any more.
    Lost(String),
}

/// Publishes and waits for the confirmation.
pub(super) async fn publish(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    payload: &[u8],
    properties: BasicProperties,
) -> Result<(), Unsent> {
    let lost = |error: lapin::Error| Unsent::Lost(error.to_string());
    let name = |text| short(text).map_err(|fault| Unsent::Refused(fault.to_string()));
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let confirm =
        channel.basic_publish(name(exchange)?, name(routing_key)?, options, payload, properties).await;
    let returned = match confirm.map_err(lost)?.await.map_err(lost)? {
        Confirmation::Ack(None) => return Ok(()),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => returned,
        Confirmation::Nack(None) => {
            return Err(Unsent::Refused("the broker could not take it (basic.nack)".to_owned()));
        }
        Confirmation::NotRequested => {
            return Err(Unsent::Lost("the channel does not confirm".to_owned()));
        }
    };
    Err(Unsent::Refused(format!(
        "the broker gave it back ({} {}): no queue is bound to exchange `{exchange}` for routing key `{routing_key}`",
        returned.reply_code, returned.reply_text
    )))
}
