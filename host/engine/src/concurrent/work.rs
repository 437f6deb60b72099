//! An instance at work: a task that takes calls, runs the guest for all of them, and says how each
//! ended.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Sleep;
use wasmtime::component::Accessor;
use wasmtime::{PoolConcurrencyLimitError, Store};
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler;

use super::{End, Job, Member, lock};
use crate::account::Metered;
use crate::guest::Guest;
use crate::invoke::{answered, given};
use crate::lane::Run;
use crate::load::{Http, Loaded};
use crate::{Shared, reached};

/// Starts an instance.
pub(super) fn start(shared: &Arc<Shared>, loaded: &Arc<Loaded>) -> Arc<Member> {
    let (send, jobs) = mpsc::unbounded_channel();
    let (ended, end) = watch::channel(None);
    let now = Instant::now();
    let member = Arc::new(Member {
        jobs: Mutex::new(Some(send)),
        load: AtomicU32::new(0),
        uses: AtomicU32::new(0),
        born: now,
        quiet: Mutex::new(now),
        busy: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        left: Notify::new(),
        end,
    });
    let gone = Gone { loaded: loaded.clone(), member: member.clone() };
    let work = {
        let (shared, loaded, member) = (shared.clone(), loaded.clone(), member.clone());
        async move {
            let work = pin!(work(&shared, &loaded, &member, jobs));
            let mut work = Metered::new(work, &loaded.account);
            let mut left = pin!(member.left.notified());
            std::future::poll_fn(|cx| {
                if left.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                // What a guest does without a call is interrupted like any other.
                let _running = shared.ticker.run();
                member.busy.store(true, SeqCst);
                let polled = pin!(&mut work).poll(cx);
                member.busy.store(false, SeqCst);
                polled
            })
            .await
        }
    };
    let run = Run::new(&loaded.line, work);
    tokio::spawn(async move {
        // Also when it panics.
        let gone = gone;
        let result = run.await;
        gone.member.close();
        let end = match &result {
            Err(error) if error.is::<PoolConcurrencyLimitError>() => End::Full,
            Err(error) => End::Failed(reached::explain(&gone.loaded, error).into()),
            Ok(()) => End::Failed("it was stopped".into()),
        };
        ended.send_replace(Some(end));
    });
    member
}

/// Takes an instance off the list, however it ends.
struct Gone {
    loaded: Arc<Loaded>,
    member: Arc<Member>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.member.close();
        if let Some(crowd) = &self.loaded.crowd {
            crowd.remove(&self.member);
        }
    }
}

/// A store whose calls have failed when it is dropped with some.
struct Failing(Store<Guest>);

impl Drop for Failing {
    fn drop(&mut self) {
        self.0.data_mut().fail();
    }
}

/// Serves calls until there are no more to come.
async fn work(
    shared: &Arc<Shared>,
    loaded: &Arc<Loaded>,
    member: &Member,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) -> wasmtime::Result<()> {
    let Some(Http::P3(handler)) = &loaded.http else {
        return Err(wasmtime::Error::msg("it has no HTTP handler of WASI 0.3"));
    };
    let mut store = Failing(Guest::shared(shared, loaded));
    let instance = loaded.instance.instantiate_async(&mut store.0).await?;
    let guest = handler.load(&mut store.0, &instance)?;
    let leftover = loaded.component.limits.deadline;
    store
        .0
        .run_concurrent(async |accessor| {
            let mut calls = FuturesUnordered::new();
            let mut idle: Option<std::pin::Pin<Box<Sleep>>> = None;
            std::future::poll_fn(|cx: &mut Context<'_>| {
                loop {
                    match calls.poll_next_unpin(cx) {
                        Poll::Ready(Some(Ok(()))) => continue,
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                        Poll::Ready(None) | Poll::Pending => {}
                    }
                    match jobs.poll_recv(cx) {
                        Poll::Ready(Some(job)) => {
                            idle = None;
                            calls.push(serve(accessor, &guest, job));
                            continue;
                        }
                        Poll::Ready(None) if calls.is_empty() => return Poll::Ready(Ok(())),
                        Poll::Ready(None) | Poll::Pending => {}
                    }
                    // What its calls have left behind has as long as a call; then the instance ends.
                    if !calls.is_empty() || accessor.poll_no_interesting_tasks(cx).is_ready() {
                        idle = None;
                        return Poll::Pending;
                    }
                    let until = idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(leftover)));
                    if until.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    idle = None;
                    // A call that comes in this moment is still taken, and the last.
                    lock(&member.jobs).take();
                }
            })
            .await
        })
        .await?
}

/// Serves one call. An error is the instance's end.
async fn serve(accessor: &Accessor<Guest>, guest: &handler::Guest, job: Job) -> wasmtime::Result<()> {
    let Job { context, request, reply, send, ends, mut done } = job;
    if done.is_closed() {
        return Ok(());
    }
    let (call, number) = accessor.with(|mut access| {
        let request = given(access.data_mut(), request)?;
        let call = guest.func_handle().start_call_concurrent(&mut access, (request,))?;
        let number = access.data_mut().enter(call.task(), context, reply.clone());
        wasmtime::error::Ok((call, number))
    })?;
    let answer = async {
        let response = match guest.func_handle().finish_call_concurrent(accessor, call).await?.0 {
            Ok(response) => response,
            Err(code) => {
                let error = wasmtime::Error::msg(format!("it answered with the error {code:?}"));
                return wasmtime::error::Ok(Err(error));
            }
        };
        let _ = answered(accessor, response, &reply, send, Some(ends))?.await;
        Ok(Ok(()))
    };
    let answer = match select(pin!(answer), pin!(done.closed())).await {
        Either::Left((answer, _)) => Some(answer?),
        // Its caller has left, and wants nothing of it.
        Either::Right(_) => None,
    };
    let unit = accessor.with(|mut access| access.data_mut().leave(number));
    if let (Some(answer), Some(unit)) = (answer, unit) {
        let _ = done.send(answer.map(|()| unit));
    }
    Ok(())
}
