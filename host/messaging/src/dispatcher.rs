//! The dispatcher of one consumer: one task that takes messages from the store, runs
//! their handlers and records how they ended. What may run when is the lanes' business.
//!
//! One thing at a time: while a page is read, no ending is taken in. So a page cannot
//! bring back what was settled, or an attempt that was counted, while it was on its way.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use monopod_core::invoke::Components;
use monopod_core::message::Delivery;
use monopod_core::store::Store;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::attempt::{self, Result, worth_saying};
use crate::backoff::SETBACKS;
use crate::inbox::Inbox;
use crate::lanes::{Ending, Lane, Lanes, Now, PAGE, Read, Step};
use crate::status::{ConsumerStatus, Meter, count};
use crate::{Clock, Consumer, age, lock};

/// What all tasks of messaging need.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) components: Arc<dyn Components>,
    pub(crate) clock: Clock,
    pub(crate) grace: Duration,
    pub(crate) shutdown: CancellationToken,
}

impl Room {
    pub(crate) fn now(&self) -> Now {
        Now { instant: Instant::now(), wall: (self.clock)() }
    }
}

pub(crate) struct Dispatcher {
    pub(crate) room: Room,
    pub(crate) consumer: Consumer,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) lanes: Mutex<Lanes>,
    pub(crate) meter: Meter,
}

type Running = JoinSet<(Lane, Ending)>;

/// When the store may be read again after reads that failed.
#[derive(Default)]
struct Reads {
    failures: u32,
    not_before: Option<Instant>,
}

impl Dispatcher {
    /// Measured.
    pub(crate) fn status(&self) -> ConsumerStatus {
        let now = self.room.now();
        let lanes = lock(&self.lanes);
        ConsumerStatus {
            component: self.consumer.component.clone(),
            counters: self.meter.counters(),
            in_flight: lanes.running() as u64,
            lag: lanes.lag() as u64,
            oldest: lanes.oldest().map(|since| age(since, now.wall)),
        }
    }

    /// Runs until shutdown, then until the running handlers have ended or the grace is
    /// over. If it fails itself it begins anew from the store, where everything is.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let mut running = Running::new();
            if AssertUnwindSafe(self.serve(&mut running)).catch_unwind().await.is_ok() {
                return self.drain(running).await;
            }
            tracing::error!(component = %self.consumer.component, "the dispatcher failed and begins anew");
            running.shutdown().await;
            *lock(&self.lanes) = Lanes::new(self.room.now());
            tokio::select! {
                () = self.room.shutdown.cancelled() => return,
                () = tokio::time::sleep(SETBACKS.delay(u32::MAX)) => {}
            }
        }
    }

    async fn serve(self: &Arc<Self>, running: &mut Running) {
        let mut reads = Reads::default();
        while !self.room.shutdown.is_cancelled() {
            while let Some(ended) = running.try_join_next() {
                self.ended(ended);
            }
            let step = self.next_step();
            match step {
                Step::Run(lane, delivery) => self.start(running, lane, delivery),
                Step::Read(read) => {
                    if let Some(until) = reads.not_before.filter(|until| *until > Instant::now()) {
                        self.wait(running, Some(until)).await;
                    } else {
                        self.read(&mut reads, read).await;
                    }
                }
                Step::Wait(until) => self.wait(running, until).await,
            }
        }
    }

    fn next_step(&self) -> Step {
        let now = self.room.now();
        let news = self.inbox.take();
        let mut lanes = lock(&self.lanes);
        for delivery in news.fresh {
            lanes.announce(delivery, now);
        }
        if news.missed {
            lanes.fall_behind(now);
        }
        lanes.step(self.consumer.concurrency.max(1) as usize, now)
    }

    async fn wait(&self, running: &mut Running, until: Option<Instant>) {
        let sleep = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.room.shutdown.cancelled() => {}
            Some(ended) = running.join_next() => self.ended(ended),
            () = self.inbox.changed() => {}
            () = sleep => {}
        }
    }

    async fn read(&self, reads: &mut Reads, read: Read) {
        let page = self.room.store.deliveries(&self.consumer.component, read.after, PAGE);
        let page = tokio::select! {
            () = self.room.shutdown.cancelled() => return,
            page = page => page,
        };
        match page {
            Ok(rows) => {
                *reads = Reads::default();
                let complete = rows.len() < PAGE;
                lock(&self.lanes).absorb(&read, rows, complete, self.room.now());
            }
            Err(error) => {
                reads.failures += 1;
                reads.not_before = Some(Instant::now() + SETBACKS.delay(reads.failures));
                if worth_saying(reads.failures) {
                    let (component, failures) = (&self.consumer.component, reads.failures);
                    tracing::warn!(%component, %error, failures, "messages could not be read from the store");
                }
            }
        }
    }

    fn start(self: &Arc<Self>, running: &mut Running, lane: Lane, delivery: Delivery) {
        let message = &delivery.message;
        let span = tracing::info_span!(
            "deliver",
            component = %self.consumer.component,
            correlation = %message.correlation,
            trace = %message.trace,
        );
        let this = Arc::clone(self);
        let run = async move {
            let ending = this.attempt(&delivery).await;
            (lane, ending)
        };
        running.spawn(run.instrument(span));
    }

    /// Runs the handler and records a failure. The lane stands still until it returns.
    async fn attempt(&self, delivery: &Delivery) -> Ending {
        let room = &self.room;
        let call = room.components.deliver(delivery);
        let result = attempt::make(call, delivery.attempt, self.consumer.attempts).await;
        self.note(delivery, &result);
        if let Some((verdict, reason)) = attempt::verdict(&result, (room.clock)()) {
            let write =
                || room.store.delivery_failed(delivery.id.clone(), reason.to_owned(), verdict.clone());
            attempt::record(write, &room.shutdown).await;
        }
        match result {
            Result::Done | Result::Settled | Result::Dead(_) => Ending::Settled,
            Result::Retry(wait, _) => Ending::Failed(wait),
            Result::SetBack(_) => Ending::SetBack,
        }
    }

    fn note(&self, delivery: &Delivery, result: &Result) {
        let (topic, message) = (&delivery.message.topic, &*delivery.message.id);
        let (sequence, attempt) = (delivery.id.sequence, delivery.attempt);
        match result {
            Result::Done => count(&self.meter.done),
            Result::Settled => tracing::debug!(%topic, message, sequence, "the message was settled before"),
            Result::SetBack(why) => {
                count(&self.meter.set_back);
                tracing::debug!(%topic, message, sequence, why, "the message waits");
            }
            Result::Retry(wait, why) => {
                count(&self.meter.failed);
                let again_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(%topic, message, sequence, attempt, again_in_ms, why, "the message failed");
            }
            Result::Dead(why) => {
                count(&self.meter.dead);
                tracing::error!(%topic, message, sequence, attempt, why, "the message goes to the dead letters");
            }
        }
    }

    fn ended(&self, ended: std::result::Result<(Lane, Ending), JoinError>) {
        let (lane, ending) = match ended {
            Ok(ended) => ended,
            // A handler's panic is caught in its attempt; so it was the store that failed,
            // and what it knows is to be read anew.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let set_backs = lock(&self.lanes).end(&lane, ending, self.room.now());
        if worth_saying(set_backs) && set_backs > 1 {
            let component = &self.consumer.component;
            tracing::warn!(%component, ?lane, set_backs, "messages wait: overloaded, or the store is away");
        }
    }

    async fn drain(&self, mut running: Running) {
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.room.grace, all).await.is_err() {
            let (component, left) = (&self.consumer.component, running.len());
            tracing::warn!(%component, left, "handlers did not end in time; their messages come again");
            running.shutdown().await;
        }
    }
}
