//! The writer: one task, one connection, every change. It takes what waits, decides all of it
//! in one transaction, commits once, then tells everybody. While one commit is on its way the
//! next batch gathers.
//!
//! A connection that is lost before the commit was asked for has changed nothing: the batch is
//! done again on another. One that is lost while the commit was on its way leaves a doubt, and
//! the mark in `writers` ends it: on a new connection the row of the counter is locked, which
//! waits until the old transaction has ended, and then the mark is there or it is not.
//!
//! The process writes only while `counter.owner` names it. It is looked at in each
//! transaction, under the row's lock: one that was taken over cannot commit any more.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use monopod_core::now;
use monopod_core::store::{Committed, Error};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::apply::{Outcome, Work};
use super::prune;
use super::rows::unsigned;
use super::schema::{LEASE_SECONDS, Me, RENEW};
use super::session::{Fault, STEP, Server, Session, backoff};
use crate::meters::{Meters, count};
use crate::rows::number;
use crate::settings::Topology;
use crate::writer::{Job, Meter, Reply, Request, gather, lock, meter, refuse};

/// How long a batch is tried on new connections before those who wait are told that the
/// database is away: a restart of it passes unseen, an outage does not hold requests back.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

pub(crate) struct Writer {
    pub server: Server,
    pub me: Me,
    pub session: Option<Session>,
    pub topology: Arc<Topology>,
    pub listener: Arc<dyn Committed>,
    pub meters: Arc<Meters>,
    /// The number of the batch that was begun last.
    pub batch: i64,
    /// Why nothing is accepted any more.
    pub fenced: Option<String>,
    /// What went wrong last and has not been right since: said once, not for each batch.
    pub trouble: Option<String>,
}

/// Why a batch is not committed.
enum Lost {
    /// Another process writes.
    Fenced,
    /// Nothing has happened.
    Not(Fault),
    /// It was to be committed, and this is what had come of its requests.
    Doubt(Fault, Vec<Outcome>),
}

impl From<Fault> for Lost {
    fn from(fault: Fault) -> Self {
        Self::Not(fault)
    }
}

impl Writer {
    /// Serves until the queue is closed and empty.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut closing = Vec::new();
        let mut renew = tokio::time::interval(RENEW);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                first = queue.recv() => {
                    let Some(first) = first else { break };
                    let batch = gather(first, &mut queue, &mut closing);
                    if !batch.is_empty() {
                        let (jobs, replies) =
                            batch.into_iter().map(|request| (request.job, request.reply)).unzip();
                        self.serve(jobs, replies, &mut queue).await;
                    }
                }
                _ = renew.tick() => self.renew().await,
            }
        }
        self.leave().await;
        for reply in closing {
            reply.send(Ok(0));
        }
    }

    async fn serve(&mut self, jobs: Vec<Job>, replies: Vec<Reply>, queue: &mut mpsc::Receiver<Request>) {
        let ended = match self.settle(&jobs, queue).await {
            Ok(ended) => ended,
            // One of them the database refuses: it must not take the others along.
            Err(Fault::Refused(_)) if jobs.len() > 1 => {
                let mut ended = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    match self.settle(std::slice::from_ref(job), queue).await {
                        Ok(one) => ended.extend(one),
                        Err(fault) => ended.push((Err(Error::Unavailable(fault.to_string())), Vec::new())),
                    }
                }
                ended
            }
            Err(fault) => {
                self.say(&fault.to_string());
                return refuse(&self.meters, replies.into_iter(), &fault.to_string());
            }
        };
        for ((job, reply), (result, effects)) in jobs.iter().zip(replies).zip(ended) {
            self.account(meter(job), &result, &effects);
            for effect in &effects {
                effect.tell(&*self.listener);
            }
            reply.send(result);
        }
    }

    /// Has a batch committed, on as many connections as it takes, or says why not.
    async fn settle(
        &mut self,
        jobs: &[Job],
        queue: &mut mpsc::Receiver<Request>,
    ) -> Result<Vec<Outcome>, Fault> {
        let began = Instant::now();
        let mut doubt: Option<Vec<Outcome>> = None;
        let mut failures = 0;
        self.batch += 1;
        loop {
            if let Some(reason) = self.fenced.clone().filter(|_| doubt.is_none()) {
                return Err(Fault::Refused(reason));
            }
            let fault = match self.attempt(jobs, &mut doubt).await {
                Ok(ended) => {
                    if self.trouble.take().is_some() {
                        tracing::info!("the state store writes again");
                    }
                    return Ok(ended);
                }
                Err(Lost::Fenced) => {
                    let reason = format!(
                        "another process has taken over {}, since this one was silent for {LEASE_SECONDS} seconds; start it again",
                        self.server
                    );
                    self.fenced = Some(reason.clone());
                    return Err(Fault::Refused(reason));
                }
                Err(Lost::Not(Fault::Refused(text))) if doubt.is_none() => {
                    // The connection is good; its transaction has to end.
                    self.session = None;
                    return Err(Fault::Refused(text));
                }
                Err(Lost::Not(fault)) => fault,
                Err(Lost::Doubt(fault, ended)) => {
                    doubt = Some(ended);
                    fault
                }
            };
            self.session = None;
            failures += 1;
            if began.elapsed() > PATIENCE {
                if doubt.is_none() {
                    return Err(fault);
                }
                // Nobody is told that nothing was committed before that is known. Those who
                // came after have committed nothing.
                self.say(&format!("{fault}; whether the last batch was committed is not known yet"));
                while let Ok(request) = queue.try_recv() {
                    refuse(&self.meters, std::iter::once(request.reply), &fault.to_string());
                }
            }
            tokio::time::sleep(backoff(failures)).await;
        }
    }

    /// One transaction, on the connection at hand or a new one.
    async fn attempt(
        &mut self,
        jobs: &[Job],
        doubt: &mut Option<Vec<Outcome>>,
    ) -> Result<Vec<Outcome>, Lost> {
        let session = match self.session.take() {
            Some(session) if !session.is_closed() => session,
            _ => Session::open(&self.server, "writer").await?,
        };
        let within = |_| Fault::Away(format!("no answer within {STEP:?}"));
        let at = now();
        let locked = async {
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            // Alone: what was waited for while this row was locked is seen by the next statement.
            session.first("SELECT number, owner FROM counter FOR UPDATE", &[]).await
        };
        let row = timeout(STEP, locked).await.map_err(within)??;
        let Some(row) = row else { return Err(Lost::Fenced) };
        let number_before = unsigned(&row, 0)?;
        let owner: Option<String> = row.try_get(1).map_err(Fault::from)?;
        if doubt.is_some() {
            let sql = "SELECT batch FROM writers WHERE id = $1";
            let mark = timeout(STEP, session.first(sql, &[&self.me.id])).await.map_err(within)??;
            let mark: Option<i64> = mark.map(|row| row.try_get(0)).transpose().map_err(Fault::from)?;
            if let Some(ended) = doubt.take()
                && mark == Some(self.batch)
            {
                count(&self.meters.commits);
                if matches!(timeout(STEP, session.run("ROLLBACK")).await, Ok(Ok(()))) {
                    self.session = Some(session);
                }
                return Ok(ended);
            }
            // It has not happened and cannot any more: done as if for the first time.
        }
        if owner.as_deref() != Some(self.me.id.as_str()) {
            return Err(Lost::Fenced);
        }
        let mut work = Work {
            session: &session,
            topology: &self.topology,
            counter: number_before,
            at,
            changes: Default::default(),
            effects: Vec::new(),
        };
        let ended = timeout(STEP, work.jobs(jobs)).await.map_err(within)??;
        let counter = work.counter;
        let mark = async {
            let sql = "UPDATE counter SET number = $1, until = clock_timestamp() + make_interval(secs => $2)";
            session.execute(sql, &[&number(counter), &LEASE_SECONDS]).await?;
            let sql = "UPDATE writers SET batch = $2 WHERE id = $1";
            session.execute(sql, &[&self.me.id, &self.batch]).await
        };
        timeout(STEP, mark).await.map_err(within)??;
        let committed = match timeout(STEP, session.run("COMMIT")).await {
            Ok(committed) => committed,
            Err(late) => Err(within(late)),
        };
        match committed {
            Ok(()) => {
                count(&self.meters.commits);
                self.session = Some(session);
                Ok(ended)
            }
            Err(fault) => Err(Lost::Doubt(fault, ended)),
        }
    }

    /// Says that this process lives, where no batch has said so.
    async fn renew(&mut self) {
        if self.fenced.is_some() {
            return;
        }
        let session = match self.session.take() {
            Some(session) if !session.is_closed() => session,
            _ => match Session::open(&self.server, "writer").await {
                Ok(session) => session,
                Err(fault) => return self.say(&fault.to_string()),
            },
        };
        let sql = "UPDATE counter SET until = clock_timestamp() + make_interval(secs => $2) WHERE owner = $1";
        match timeout(STEP, session.execute(sql, &[&self.me.id, &LEASE_SECONDS])).await {
            // Whether another has taken over the next batch finds out.
            Ok(Ok(_)) => self.session = Some(session),
            Ok(Err(fault)) => self.say(&fault.to_string()),
            Err(_) => self.say("the database does not answer"),
        }
    }

    /// Lets another process write at once.
    async fn leave(&mut self) {
        let Some(session) = self.session.take() else { return };
        let sql = "UPDATE counter SET owner = NULL, until = NULL WHERE owner = $1";
        if !matches!(timeout(STEP, session.execute(sql, &[&self.me.id])).await, Ok(Ok(_))) {
            tracing::warn!("the database was not given free; it is when {LEASE_SECONDS} seconds have passed");
        }
    }

    fn say(&mut self, reason: &str) {
        if self.trouble.as_deref() != Some(reason) {
            tracing::error!(reason, "the state store could not write");
            self.trouble = Some(reason.to_owned());
        }
    }

    fn account(&mut self, meter: Meter, result: &Result<u64, Error>, effects: &[crate::apply::Effect]) {
        if let Some(reason) = self.meters.account(meter, result, effects) {
            self.say(reason);
        }
    }
}

impl Work<'_> {
    /// Does the jobs of a batch in order; units that stand together are decided together.
    async fn jobs(&mut self, jobs: &[Job]) -> Result<Vec<Outcome>, Fault> {
        let mut ended = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while let Some(first) = rest.first() {
            let units: Vec<_> = rest
                .iter()
                .map_while(|job| match job {
                    Job::Commit(unit) => Some(&**unit),
                    _ => None,
                })
                .collect();
            if units.is_empty() {
                let result = self.job(first).await?;
                ended.push((result, std::mem::take(&mut self.effects)));
                rest = rest.get(1..).unwrap_or_default();
            } else {
                ended.extend(self.units(&units).await?);
                rest = rest.get(units.len()..).unwrap_or_default();
            }
        }
        Ok(ended)
    }

    async fn job(&mut self, job: &Job) -> Result<Result<u64, Error>, Fault> {
        let (session, topology) = (self.session, self.topology);
        Ok(Ok(match job {
            Job::DeliveryFailed { id, reason, verdict } => {
                return self.delivery_failed(id, reason, verdict).await;
            }
            Job::TimerFailed { id, version, reason, verdict } => {
                return self.timer_failed(id, *version, reason, verdict).await;
            }
            Job::PruneMessages { now } => prune::messages(session, topology, *now).await?,
            Job::PruneMarks { now } => prune::marks(session, topology, *now).await?,
            Job::PruneExpired { now } => prune::expired(session, *now).await?,
            Job::Compact { compaction } => {
                let mut cursor = compaction.cursor.load(Relaxed);
                let (seen, removed) = prune::overtaken(session, topology, &mut cursor).await?;
                compaction.cursor.store(cursor, Relaxed);
                compaction.removed.fetch_add(removed, Relaxed);
                seen
            }
            Job::Operate { wish, answer } => {
                let granted = self.operate(wish).await?;
                *lock(answer) = Some(granted);
                0
            }
            Job::Probe => session.execute("UPDATE counter SET probes = probes + 1", &[]).await?,
            // Taken out before, or nothing to do here.
            Job::Commit(_) | Job::Vacuum | Job::Close => 0,
            #[cfg(test)]
            Job::Tamper(_) => 0,
        }))
    }
}
