//! Brokers: what stands behind a topic that is not embedded.
//!
//! The store's outbox stays the truth. What a unit publishes is committed as a delivery for
//! the broker, which has deliveries as a consumer does: the same lanes, attempts, waits and
//! dead letters. [`Carrier`] sends it and says when the broker has it; only then is the
//! delivery settled. The other way a broker's taker commits what it was handed, with a mark
//! of each message's id, and tells the broker afterwards. So on the wire a message may come
//! twice, and in the store it has its effect once.
//!
//! Started by [`crate::start`]. Not here: which topic has which broker (the platform file).

pub(crate) mod rabbit;
mod seal;
mod status;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use monopod_core::BoxFuture;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::invoke::{Components, Error};
use monopod_core::limit::brokers;
use monopod_core::message::{Delivery, Message, Outcome};
use monopod_core::name::ComponentName;
use monopod_core::store::{Error as StoreError, Store};
use monopod_core::unit::{Cause, Unit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::Backoff;
use crate::dispatcher::{Dispatcher, Room};
use crate::lanes::Lanes;
use crate::status::{ConsumerStatus, Meter};
use crate::{Consumer, Hub};

pub use rabbit::{ExchangeKind, Rabbit, RabbitTopic};
pub use seal::{Seal, SealError};
pub(crate) use status::Progress;
pub use status::{BrokerStatus, Line, Side};

pub use brokers::ATTEMPTS;
pub(crate) use brokers::UNDER_WAY;
pub(crate) const UNDER_WAY_BYTES: usize = brokers::UNDER_WAY_BYTES.as_usize();
pub(crate) const TAKEN_AT_ONCE: usize = brokers::TAKEN as usize;
pub(crate) const TAKEN_AT_ONCE_BYTES: usize = brokers::TAKEN_BYTES.as_usize();

/// Between two tries to reach a broker that is away: soon at first, since most are only
/// started again, and never longer than a person waits who has mended it.
pub(crate) const RECONNECT: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
/// A line that held so long was a good one: the next failure is a first one.
pub(crate) const GOOD_LINE: Duration = Duration::from_secs(10);

/// A broker and the topics behind which it stands.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name; no component has it.
    pub name: ComponentName,
    /// Which kind, and where it is.
    pub kind: Kind,
    /// Tries for one message that it refuses, the first included; see [`ATTEMPTS`].
    pub attempts: u32,
}

/// The kinds of brokers.
#[derive(Debug, Clone)]
pub enum Kind {
    /// RabbitMQ, by AMQP 0-9-1.
    Rabbit(Rabbit),
}

/// How long a broker is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection that can be used: network, TLS, login, declarations.
    pub connect: Duration,
    /// For the confirmation of one message while the broker does not say that it is blocked.
    /// Then the line is given up, and the message sent again on the next.
    pub confirm: Duration,
    /// Between two signs of life of a connection.
    pub heartbeat: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // A broker that starts answers a new connection in seconds.
            connect: Duration::from_secs(20),
            // A quorum queue on slow disks takes one; what takes so long is stuck.
            confirm: Duration::from_secs(30),
            // A connection that a firewall has forgotten is noticed in half a minute.
            heartbeat: Duration::from_secs(10),
        }
    }
}

/// A broker at work.
pub(crate) struct Working {
    dispatcher: Arc<Dispatcher>,
    progress: Arc<Progress>,
}

impl Working {
    pub(crate) fn status(&self) -> BrokerStatus {
        let ConsumerStatus { component, lag, oldest, .. } = self.dispatcher.status();
        self.progress.status(&component, lag, oldest)
    }
}

/// Starts both directions, on the current runtime, among `tasks`.
pub(crate) fn start(hub: &Hub, room: &Room, broker: Broker, tasks: &TaskTracker) -> Working {
    let Broker { name, kind: Kind::Rabbit(rabbit), attempts } = broker;
    let takes = rabbit.topics.values().any(|topic| topic.queue.is_some());
    let progress = Arc::new(Progress::new(takes));
    let finished = CancellationToken::new();
    let parts = Arc::new(rabbit::Parts {
        name: name.clone(),
        rabbit,
        store: Arc::clone(&room.store),
        progress: Arc::clone(&progress),
        shutdown: room.shutdown.clone(),
        finished: finished.clone(),
    });
    let giver = Arc::new(rabbit::Giver::new(Arc::clone(&parts)));
    let shipper = Shipper {
        store: Arc::clone(&room.store),
        carrier: Arc::clone(&giver) as Arc<dyn Carrier>,
        progress: Arc::clone(&progress),
    };
    let dispatcher = Arc::new(Dispatcher {
        room: Room { components: Arc::new(shipper), ..room.clone() },
        inbox: hub.listen(&name),
        consumer: Consumer { component: name, concurrency: UNDER_WAY, attempts },
        lanes: Mutex::new(Lanes::new(room.now())),
        meter: Meter::default(),
    });
    let (run, take) = (Arc::clone(&dispatcher).run(), takes.then(|| parts.take()));
    // The line is kept until both have ended: what is under way needs it.
    tasks.spawn(async move {
        let taken = async {
            if let Some(take) = take {
                take.await;
            }
        };
        tokio::join!(run, taken);
        finished.cancel();
    });
    tasks.spawn(giver.run());
    Working { dispatcher, progress }
}

/// What became of a message that was given to a broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// The broker has it for good.
    Confirmed,
    /// The broker will not have it, and says why: an attempt.
    Refused(String),
    /// Nobody knows, or it was not tried: not an attempt.
    Away,
}

/// Sends messages to a broker.
pub(crate) trait Carrier: Send + Sync {
    /// Sends `message` and waits for the broker's word. Not cancel-safe in what the broker
    /// has: it may have it after a drop. Ends soon after the shutdown if there is no line.
    fn carry<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Carried>;
}

/// A broker as its dispatcher sees it: one that handles messages.
pub(crate) struct Shipper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) progress: Arc<Progress>,
}

impl Components for Shipper {
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let group = &delivery.id.group;
            match self.carrier.carry(&delivery.message).await {
                Carried::Confirmed => {
                    self.progress.sent();
                    let unit = settlement(delivery);
                    let settled = self.store.commit(unit).await;
                    settled.map_err(|source| Error::Store { component: group.clone(), source })?;
                    Ok(Outcome::Done)
                }
                Carried::Refused(reason) => {
                    self.progress.refused();
                    Ok(Outcome::Retry { after: None, reason })
                }
                Carried::Away => {
                    Err(Error::Overloaded { component: group.clone(), reason: "the broker is away" })
                }
            }
        })
    }
}

fn settlement(delivery: &Delivery) -> Unit {
    let message = &delivery.message;
    let cause = Cause::Delivery { id: delivery.id.clone(), message: Arc::clone(&message.id) };
    let group = delivery.id.group.clone();
    Unit::new(group, cause, message.correlation.clone(), message.trace, message.owner.clone())
}

/// Why what was taken could not be kept.
pub(crate) enum Unkept {
    /// The store will never take this one message: the text says why.
    Refused(String),
    /// The store was away for too long.
    Away(StoreError),
}

/// How long the store is waited for with messages in hand. RabbitMQ takes them back after
/// half an hour, and Kafka after some minutes; until then nobody else can have them.
const STORE: Duration = Duration::from_secs(60);

/// Commits what `broker` has handed over, in one unit. `Refused` is answered for a single
/// message only: the caller hands over several that are refused one by one.
pub(crate) async fn keep(
    store: &dyn Store,
    broker: &ComponentName,
    messages: Vec<Message>,
    shutdown: &CancellationToken,
) -> Result<(), Unkept> {
    let mut unit = Unit::new(broker.clone(), Cause::Received, CorrelationId::new(), TraceId::new(), None);
    unit.messages = messages;
    let began = tokio::time::Instant::now();
    let mut failures = 0;
    loop {
        let error = match store.commit(unit.clone()).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Refused(why)) => return Err(Unkept::Refused(why)),
            Err(error) => error,
        };
        failures += 1;
        if crate::attempt::worth_saying(failures) {
            tracing::warn!(%broker, %error, failures, "what the broker handed over could not be kept");
        }
        if began.elapsed() > STORE || shutdown.is_cancelled() {
            return Err(Unkept::Away(error));
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(crate::backoff::SETBACKS.delay(failures)) => {}
        }
    }
}
