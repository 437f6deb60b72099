//! Figures pushed to a collector that speaks OTLP: HTTP, with protobuf in it. Started by the
//! binary where the platform file has [telemetry].
//!
//! A snapshot is taken at each interval and put into a bounded queue; one request at a time takes
//! them from there. So a collector that is away or slow costs that queue and nothing else: the
//! oldest snapshot is dropped and counted. Values are cumulative, so that what is dropped costs
//! its moment and no count. Knows neither TLS nor sockets: requests go through
//! [`monopod_core::outgoing::Direct`].

mod otlp;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use monopod_core::outgoing::Direct;
use monopod_core::seen::{self, Source};
use monopod_core::size::Size;
use monopod_core::{Body, BoxFuture, full};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::metrics::collect;
use crate::process;
use queue::Queue;

/// Snapshots that wait: a quarter of an hour of a collector's absence, at the usual interval.
pub const QUEUE: usize = 16;
/// And their bytes: far above what some hundred components make.
pub const QUEUE_BYTES: Size = Size::mebibytes(4);
/// What one push may take, connecting included; as in OpenTelemetry's own exporters.
const TIME: Duration = Duration::from_secs(10);
/// What the last push may take, while the process ends.
const LAST: Duration = Duration::from_secs(2);
/// The wait after the first push that failed; doubled for each further one. Not shorter either
/// where a collector asks for less.
const PAUSE: Duration = Duration::from_secs(1);
/// At most, and the most that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What is read of an answer: a few numbers and one line of text.
const ANSWER: usize = 64 << 10;
/// What is shown of a collector's words, in characters.
const SHOWN: usize = 200;

/// Where to push, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The collector's address for metrics, with its path.
    pub url: Uri,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Between two snapshots.
    pub interval: Duration,
    /// The platform's name.
    pub service: String,
    /// The host's version.
    pub version: String,
}

/// What became of the snapshots.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

impl Counts {
    /// As others see it.
    pub fn seen(&self) -> seen::Telemetry {
        let [sent, refused, dropped, waiting] =
            [&self.sent, &self.refused, &self.dropped, &self.waiting].map(|count| count.load(Relaxed));
        seen::Telemetry { snapshots: [sent, refused, dropped], waiting }
    }
}

/// Pushes until `stop` ends, then takes a last snapshot and tries once to send what waits.
pub async fn push(
    settings: Settings,
    source: Arc<dyn Source>,
    client: Arc<dyn Direct>,
    counts: Arc<Counts>,
    stop: impl Future<Output = ()>,
) {
    let began = nanos(SystemTime::now());
    let up = u64::try_from(source.look().uptime.as_nanos()).unwrap_or_default();
    let instance = uuid::Uuid::new_v4().to_string();
    let pusher = Arc::new(Pusher {
        resource: otlp::resource(&settings.service, &settings.version, &instance),
        start: began.saturating_sub(up),
        queue: Queue::new(counts.clone()),
        settings,
        source,
        client,
        counts,
    });
    tokio::select! {
        () = pusher.clone().take_always() => {}
        () = pusher.clone().give_always() => {}
        () = stop => {}
    }
    pusher.take();
    let last = async move {
        while let Some((number, snapshot)) = pusher.queue.first() {
            if !pusher.settle(number, pusher.give(snapshot).await) {
                break;
            }
        }
    };
    // What is not sent by then goes with the process.
    let _over = timeout(LAST, last).await;
}

struct Pusher {
    settings: Settings,
    resource: Resource,
    /// When counting began, in nanoseconds since 1970.
    start: u64,
    queue: Queue,
    source: Arc<dyn Source>,
    client: Arc<dyn Direct>,
    counts: Arc<Counts>,
}

/// What became of a push.
enum Answer {
    Sent,
    /// Never to be sent again.
    Refused(String),
    /// To be tried again, after this time if the collector named one.
    Away(String, Option<Duration>),
}

impl Pusher {
    async fn take_always(self: Arc<Self>) {
        let interval = self.settings.interval;
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.take();
        }
    }

    fn take(&self) {
        let families = collect(&self.source.look(), process::look());
        let now = nanos(SystemTime::now());
        let request = otlp::request(families, self.resource.clone(), self.start, now);
        self.queue.put(request.encode_to_vec().into());
    }

    async fn give_always(self: Arc<Self>) {
        let mut failures = 0_u32;
        loop {
            let (number, snapshot) = self.queue.next().await;
            let answer = self.give(snapshot).await;
            let wait = match &answer {
                Answer::Away(why, asked) => {
                    if failures == 0 {
                        tracing::warn!(endpoint = %self.settings.url, why, "the collector takes no figures; they wait");
                    }
                    let wait = asked.unwrap_or_else(|| PAUSE * 2_u32.saturating_pow(failures.min(16)));
                    failures = failures.saturating_add(1);
                    Some(wait.clamp(PAUSE, LONGEST_PAUSE))
                }
                Answer::Refused(why) => {
                    // Said once in a row: the next ones will most likely fare the same.
                    if failures == 0 {
                        tracing::warn!(endpoint = %self.settings.url, why, "the collector refuses figures; see [telemetry]");
                    }
                    failures = failures.saturating_add(1);
                    None
                }
                Answer::Sent => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!(endpoint = %self.settings.url, "the collector takes figures again");
                    }
                    None
                }
            };
            self.settle(number, answer);
            if let Some(wait) = wait {
                sleep(wait).await;
            }
        }
    }

    /// Counts what became of a snapshot; whether it is done with.
    fn settle(&self, number: u64, answer: Answer) -> bool {
        let count = match answer {
            Answer::Sent => &self.counts.sent,
            Answer::Refused(_) => &self.counts.refused,
            Answer::Away(..) => return false,
        };
        // One that was dropped meanwhile, to make room, is counted as that.
        if self.queue.done(number) {
            count.fetch_add(1, Relaxed);
        }
        true
    }

    /// One push.
    fn give(&self, snapshot: Bytes) -> BoxFuture<'static, Answer> {
        let sent = self.client.send(self.request(snapshot));
        Box::pin(async move {
            let exchange = async move {
                match sent.await {
                    Ok(response) => answer(response).await,
                    Err(error) => Answer::Away(error.to_string(), None),
                }
            };
            match timeout(TIME, exchange).await {
                Ok(answer) => answer,
                Err(_) => Answer::Away(format!("it did not answer within {} s", TIME.as_secs()), None),
            }
        })
    }

    fn request(&self, snapshot: Bytes) -> Request<Body> {
        let mut request = Request::new(full(snapshot));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.url.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("monopod/", env!("CARGO_PKG_VERSION"))));
        headers.extend(self.settings.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        request
    }
}

/// What a collector says, by the protocol's rules: which failures are worth another try.
async fn answer(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let asked = parts.headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    let asked = asked.map(Duration::from_secs);
    // Boxed before it is awaited: the compiler cannot see that a bounded box may change threads.
    let body: Body = Limited::new(body, ANSWER).boxed_unsync();
    let body = body.collect().await.map(|body| body.to_bytes());
    match (parts.status, body) {
        // It had the snapshot before its answer broke off.
        (StatusCode::OK, Err(_)) => Answer::Sent,
        (StatusCode::OK, Ok(body)) => {
            let partial = ExportMetricsServiceResponse::decode(body).ok().and_then(|it| it.partial_success);
            match partial.filter(|it| it.rejected_data_points > 0) {
                Some(it) => {
                    let text: String = it.error_message.chars().take(SHOWN).collect();
                    Answer::Refused(format!("{} values refused: {text:?}", it.rejected_data_points))
                }
                None => Answer::Sent,
            }
        }
        (status, _) if status.is_success() => Answer::Sent,
        (status, _) if matches!(status.as_u16(), 429 | 502 | 503 | 504) => {
            Answer::Away(status.to_string(), asked)
        }
        (status, _) => Answer::Refused(status.to_string()),
    }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
