//! A connection to RabbitMQ, from the network to the declared queues, and the supervisor that
//! builds it again and again. Knows nothing of messages.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::uri::{AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties, Event};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{ExchangeKind, Parts, RabbitTopic};
use crate::broker::{GOOD_LINE, Line, RECONNECT, Side};

/// How long a connection that is no longer needed may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long work may go on after the stop: for one batch to be kept and acknowledged.
const GRACE: Duration = Duration::from_secs(5);

/// Why there is no line, or no longer.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// It may be there again soon.
    Away(String),
    /// Something there is not as declared here.
    Wrong(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Away(why) | Self::Wrong(why)) = self;
        f.write_str(why)
    }
}

impl From<lapin::Error> for Fault {
    fn from(error: lapin::Error) -> Self {
        Self::Away(error.to_string())
    }
}

pub(super) fn short(text: &str) -> Result<ShortString, Fault> {
    ShortString::try_new(text).map_err(|error| Fault::Wrong(format!("`{text}`: {error}")))
}

/// Builds lines until `stop`, one after another. `work` has each until it fails; it is dropped
/// when the connection is lost, and ends by itself soon after the stop.
pub(super) async fn supervise<W, F>(parts: &Parts, side: Side, stop: &CancellationToken, work: W)
where
    W: Fn(Arc<Connection>) -> F,
    F: Future<Output = Result<(), Fault>>,
{
    let (broker, progress) = (&parts.name, &parts.progress);
    let mut failures = 0;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let Err(fault) = one(parts, side, stop, &work).await else { return };
        failures = if began.elapsed() > GOOD_LINE { 1 } else { failures + 1 };
        let wait = RECONNECT.delay(failures);
        let again_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let side_name = side.name();
        progress.line(
            side,
            match fault {
                Fault::Away(why) => {
                    tracing::warn!(%broker, side = side_name, why, failures, again_in_ms, "the broker is away");
                    Line::Away(why)
                }
                Fault::Wrong(why) => {
                    tracing::error!(%broker, side = side_name, why, again_in_ms, "the broker is not as the platform file says");
                    Line::Wrong(why)
                }
            },
        );
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One line, from its beginning to its end.
async fn one<W, F>(parts: &Parts, side: Side, stop: &CancellationToken, work: &W) -> Result<(), Fault>
where
    W: Fn(Arc<Connection>) -> F,
    F: Future<Output = Result<(), Fault>>,
{
    let ready = async {
        let connection = connect(parts, side).await?;
        for at in parts.rabbit.topics.values() {
            declare(&connection, at).await?;
        }
        Ok::<_, Fault>(Arc::new(connection))
    };
    let limit = parts.rabbit.patience.connect;
    let connection = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        ready = timeout(limit, ready) => {
            let late = || Fault::Away(format!("no usable connection within {} ms", limit.as_millis()));
            ready.map_err(|_| late())??
        }
    };
    let mut events = Box::pin(connection.events_listener());
    parts.progress.line(side, Line::Up);
    tracing::info!(broker = %parts.name, side = side.name(), "the broker is connected");
    let lost = async {
        while let Some(event) = events.next().await {
            match event {
                Event::ConnectionBlocked(why) => {
                    tracing::warn!(broker = %parts.name, side = side.name(), why, "the broker is blocked");
                    parts.progress.line(side, Line::Blocked(why));
                }
                Event::ConnectionUnblocked => {
                    tracing::info!(broker = %parts.name, side = side.name(), "the broker is no longer blocked");
                    parts.progress.line(side, Line::Up);
                }
                Event::Error(error) => return Fault::from(error),
                // The enumeration may grow.
                _ => {}
            }
        }
        Fault::Away("the connection ended".to_owned())
    };
    let ended = tokio::select! {
        ended = work(Arc::clone(&connection)) => ended,
        fault = lost => Err(fault),
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    };
    // What is lost anyhow need not be said goodbye to for long.
    let _late = timeout(GOODBYE, connection.close(200, ShortString::default())).await;
    ended
}

async fn connect(parts: &Parts, side: Side) -> Result<Connection, Fault> {
    let rabbit = &parts.rabbit;
    let mut uri: AMQPUri = rabbit.url.parse().map_err(|error: String| Fault::Wrong(error))?;
    let password = match &rabbit.password {
        None => "guest".to_owned(),
        Some(file) => {
            let read = tokio::fs::read_to_string(file).await;
            let read = read.map_err(|error| {
                Fault::Wrong(format!("the password file {} cannot be read: {error}", file.display()))
            })?;
            read.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    uri.authority.userinfo = AMQPUserInfo { username: rabbit.user.clone(), password };
    uri.query.heartbeat = Some(u16::try_from(rabbit.patience.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX));
    let cert_chain = match &rabbit.ca {
        None => None,
        Some(file) => Some(tokio::fs::read_to_string(file).await.map_err(|error| {
            Fault::Wrong(format!("the certificates in {} cannot be read: {error}", file.display()))
        })?),
    };
    let name = LongString::from(format!("{} ({})", rabbit.client, side.name()));
    let properties = ConnectionProperties::default().with_connection_name(name);
    let runtime = lapin::runtime::default_runtime()?;
    let tls = OwnedTLSConfig { identity: None, cert_chain };
    Ok(Connection::connect_uri_with_config(uri, properties, tls, runtime).await?)
}

/// Makes what is not there, and finds what is there and otherwise. Each on a channel of its
/// own: a refusal closes the channel. Nothing is ever deleted or changed.
async fn declare(connection: &Connection, at: &RabbitTopic) -> Result<(), Fault> {
    let exchange = short(&at.exchange)?;
    let kind = match at.kind {
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
    };
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let channel = connection.create_channel().await?;
    let declared = channel.exchange_declare(exchange.clone(), kind, options, FieldTable::default()).await;
    declared.map_err(|error| refused(&format!("exchange `{}`", at.exchange), &error))?;
    if let Some(name) = &at.queue {
        let queue = short(name)?;
        let mut arguments = FieldTable::default();
        if at.quorum {
            arguments.insert(short("x-queue-type")?, AMQPValue::LongString("quorum".into()));
        }
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let declared = channel.queue_declare(queue.clone(), options, arguments).await;
        declared.map_err(|error| refused(&format!("queue `{name}`"), &error))?;
        let key = short(&at.routing_key)?;
        let bound = channel
            .queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default())
            .await;
        bound.map_err(|error| {
            refused(&format!("the binding of queue `{name}` to exchange `{}`", at.exchange), &error)
        })?;
    }
    channel.close(200, ShortString::default()).await?;
    Ok(())
}

/// What the broker holds against a declaration.
fn refused(what: &str, error: &lapin::Error) -> Fault {
    if error.is_amqp_soft_error() {
        Fault::Wrong(format!(
            "{what} cannot be used as the platform file has it: {error}; change its [topics] entry to fit, or remove it from the broker yourself"
        ))
    } else {
        Fault::Away(error.to_string())
    }
}
