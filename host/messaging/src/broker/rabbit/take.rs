//! From RabbitMQ: one channel for each queue, a bounded prefetch, and an acknowledgement only
//! after the messages are committed in their topic.

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, Consumer};
use monopod_core::limit::brokers::PREFETCH;
use monopod_core::message::Message;
use monopod_core::name::TopicName;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::give::{Unsent, publish};
use super::line::{Fault, short, supervise};
use super::{Parts, map};
use crate::broker::{Side, TAKEN_AT_ONCE, TAKEN_AT_ONCE_BYTES, Unkept, keep};

/// Where messages go that can never be kept, behind the queue's name.
const ASIDE: &str = ".refused";
/// The header that says why.
const WHY: &str = "monopod-refused";

/// Takes until shutdown.
pub(super) async fn run(parts: &Arc<Parts>) {
    let work = |connection: Arc<Connection>| {
        let parts = Arc::clone(parts);
        async move {
            let mut queues = JoinSet::new();
            for (topic, at) in &parts.rabbit.topics {
                let Some(queue) = at.queue.clone() else { continue };
                let (parts, connection) = (Arc::clone(&parts), Arc::clone(&connection));
                let taker = Taker { parts, connection, topic: topic.clone(), queue };
                queues.spawn(async move { taker.run().await });
            }
            // The first that fails takes the connection with it: all are built anew.
            while let Some(ended) = queues.join_next().await {
                ended.map_err(|error| Fault::Away(error.to_string()))??;
            }
            Ok(())
        }
    };
    supervise(parts, Side::Taking, &parts.shutdown, work).await;
}

/// One queue.
struct Taker {
    parts: Arc<Parts>,
    connection: Arc<Connection>,
    topic: TopicName,
    queue: String,
}

impl Taker {
    async fn run(&self) -> Result<(), Fault> {
        let channel = self.connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let tag = short(&self.parts.name.to_string())?;
        let queue = short(&self.queue)?;
        let mut consumer = channel.basic_consume(queue, tag, options, FieldTable::default()).await?;
        while let Some(batch) = self.gather(&mut consumer).await? {
            self.take(batch).await?;
        }
        Ok(())
    }

    /// What the broker has sent ahead, at least one; none when the platform stops.
    async fn gather(&self, consumer: &mut Consumer) -> Result<Option<Vec<Delivery>>, Fault> {
        let ended = || Fault::Away(format!("the broker ended the consumer of queue `{}`", self.queue));
        let first = tokio::select! {
            biased;
            () = self.parts.shutdown.cancelled() => return Ok(None),
            next = consumer.next() => next.ok_or_else(ended)??,
        };
        let mut bytes = first.data.len();
        let mut batch = vec![first];
        while batch.len() < TAKEN_AT_ONCE && bytes < TAKEN_AT_ONCE_BYTES {
            let Some(next) = consumer.next().now_or_never() else { break };
            let next = next.ok_or_else(ended)??;
            bytes += next.data.len();
            batch.push(next);
        }
        Ok(Some(batch))
    }

    /// Keeps a batch, in order, then acknowledges all of it at once.
    async fn take(&self, batch: Vec<Delivery>) -> Result<(), Fault> {
        let mut good = Vec::with_capacity(batch.len());
        for delivery in &batch {
            match map::incoming(delivery, &self.topic, &self.parts.rabbit.seal) {
                Ok(message) => good.push((delivery, message)),
                Err(why) => self.put_aside(delivery, &why).await?,
            }
        }
        let messages: Vec<Message> = good.iter().map(|(_, message)| message.clone()).collect();
        if !messages.is_empty() {
            match self.keep(messages).await {
                Ok(()) => {}
                Err(Unkept::Away(error)) => return Err(Fault::Away(error.to_string())),
                Err(Unkept::Refused(_)) => self.one_by_one(good).await?,
            }
        }
        let redelivered = batch.iter().filter(|delivery| delivery.redelivered).count();
        self.parts.progress.taken(batch.len(), redelivered);
        let Some(last) = batch.last() else { return Ok(()) };
        // All before it on this channel are of this batch or acknowledged.
        let done = last.acker.ack(BasicAckOptions { multiple: true }).await?;
        // Not an error to lapin: the channel is gone, and the broker hands them over again.
        if done { Ok(()) } else { Err(Fault::Away("the channel was closed by the broker".to_owned())) }
    }

    async fn keep(&self, messages: Vec<Message>) -> Result<(), Unkept> {
        keep(&*self.parts.store, &self.parts.name, messages, &self.parts.shutdown).await
    }

    /// Finds the one that the store refuses; the others are kept.
    async fn one_by_one(&self, good: Vec<(&Delivery, Message)>) -> Result<(), Fault> {
        for (delivery, message) in good {
            match self.keep(vec![message]).await {
                Ok(()) => {}
                Err(Unkept::Refused(why)) => self.put_aside(delivery, &why).await?,
                Err(Unkept::Away(error)) => return Err(Fault::Away(error.to_string())),
            }
        }
        Ok(())
    }

    /// Puts a message that can never be kept into a queue beside its own, with the reason. It
    /// is not acknowledged before that queue has it.
    async fn put_aside(&self, delivery: &Delivery, why: &str) -> Result<(), Fault> {
        let aside = format!("{}{ASIDE}", self.queue);
        let message = delivery.properties.message_id().as_ref().map(ToString::to_string);
        tracing::error!(broker = %self.parts.name, topic = %self.topic, queue = aside, message, why, "a message can never be kept and is put aside");
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(short(&aside)?, options, FieldTable::default()).await?;
        let mut headers = delivery.properties.headers().clone().unwrap_or_default();
        headers.insert(short(WHY)?, AMQPValue::LongString(why.into()));
        // The broker takes a user's name from that user alone.
        let properties =
            map::without_user(delivery.properties.clone()).with_headers(headers).with_delivery_mode(2);
        let sent = publish(&channel, "", &aside, &delivery.data, properties);
        let limit = self.parts.rabbit.patience.confirm;
        match timeout(limit, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(Unsent::Refused(why) | Unsent::Lost(why))) => return Err(Fault::Away(why)),
            Err(_) => return Err(Fault::Away("no confirmation of a message put aside".to_owned())),
        }
        self.parts.progress.put_aside();
        channel.close(200, Default::default()).await?;
        Ok(())
    }
}
