//! Figures pushed to a collector: a real server that decodes what comes, and one that is away,
//! slow, or full of refusals.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use monopod_core::seen::{Component, Histogram, Platform, Source, Telemetry};
use monopod_edge::direct::Client;
use monopod_operate::telemetry::{Counts, QUEUE, Settings, push};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, number_data_point};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long something is awaited that takes milliseconds on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(60);
/// Intervals: so short that a queue is soon full, and so long that only the end pushes.
const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_secs(3_600);

/// A collector on a loopback port. Ends with the test's runtime.
#[derive(Clone, Default)]
struct Collector {
    /// What it answers; 0: nothing, ever.
    status: Arc<AtomicU16>,
    /// Whether it says that it refused some of what it took.
    partial: bool,
    port: u16,
    asked: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<(Parts, ExportMetricsServiceRequest)>>>,
}

impl Collector {
    async fn new(status: u16, partial: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = Self { status: Arc::new(status.into()), partial, port, ..Self::default() };
        let serving = collector.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| serving.answer(request));
                    let _cut = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        collector
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let status = self.status.load(Ordering::SeqCst);
        if status == 0 {
            std::future::pending::<()>().await;
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if status == 200 {
            self.taken.lock().unwrap().push((parts, ExportMetricsServiceRequest::decode(body).unwrap()));
        }
        let partial_success = self.partial.then(|| ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: "too many labels".to_owned(),
        });
        let said = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
        Ok(Response::builder().status(status).header(RETRY_AFTER, "0").body(Full::from(said)).unwrap())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

/// A platform with one component.
struct One;

impl Source for One {
    fn look(&self) -> Platform {
        let mut component = Component::new("photos".parse().unwrap(), "1.0.0".into());
        component.calls[0] = 7;
        component.memory = 65_536;
        for millis in [1, 1, 300] {
            component.latency.counts[Histogram::bucket(Duration::from_millis(millis))] += 1;
        }
        component.latency.sum = Duration::from_millis(302);
        Platform {
            name: "tu".into(),
            uptime: Duration::from_secs(2),
            components: vec![component],
            ..Platform::default()
        }
    }
}

struct Pushing {
    counts: Arc<Counts>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Pushing {
    fn to(port: u16, interval: Duration) -> Self {
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel();
        let settings = Settings {
            url: format!("http://127.0.0.1:{port}/v1/metrics").parse().unwrap(),
            headers: HeaderMap::from_iter([
                (AUTHORIZATION, HeaderValue::from_static("Bearer secret")),
                (HeaderName::from_static("x-tenant"), HeaderValue::from_static("blue")),
            ]),
            interval,
            service: "tu".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let client = Arc::new(Client::new(None).unwrap());
        let stopped = async { drop(stopped.await) };
        let pushed = push(settings, Arc::new(One), client, counts.clone(), stopped);
        Self { counts, stop, task: tokio::spawn(pushed) }
    }

    fn seen(&self) -> Telemetry {
        self.counts.seen()
    }

    /// Stops it; what became of all, and how long the stop took.
    async fn end(self) -> (Telemetry, Duration) {
        let began = Instant::now();
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        (self.counts.seen(), began.elapsed())
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "within {PATIENCE:?}: no {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|it| it.key == key).unwrap();
    match found.value.as_ref().unwrap().value.as_ref().unwrap() {
        Any::StringValue(text) => text.clone(),
        other => panic!("{key}: {other:?}"),
    }
}

#[tokio::test]
async fn a_collector_is_told_the_same_figures_as_prometheus_in_its_own_terms() {
    let collector = Collector::new(200, false).await;
    let pushing = Pushing::to(collector.port, OFTEN);
    until("push", || collector.taken() >= 2).await;
    pushing.end().await;
    let taken = collector.taken.lock().unwrap();
    let (request, snapshot) = &taken[0];
    assert_eq!((&request.method, request.uri.path()), (&Method::POST, "/v1/metrics"));
    for (name, value) in [
        (CONTENT_TYPE, "application/x-protobuf"),
        (AUTHORIZATION, "Bearer secret"),
        (HeaderName::from_static("x-tenant"), "blue"),
    ] {
        assert_eq!(request.headers[&name], value, "{name}");
    }

    let of = &snapshot.resource_metrics[0];
    let resource = &of.resource.as_ref().unwrap().attributes;
    assert_eq!(text(resource, "service.name"), "tu");
    assert_eq!(text(resource, "service.version"), "0.1.0");
    let again = &taken[1].1.resource_metrics[0].resource.as_ref().unwrap().attributes;
    assert_eq!(text(resource, "service.instance.id"), text(again, "service.instance.id"));

    let metrics = &of.scope_metrics[0].metrics;
    let metric = |name: &str| -> &Metric { metrics.iter().find(|it| it.name == name).unwrap() };
    let Some(Data::Sum(calls)) = &metric("monopod_calls_total").data else { panic!("calls are counted") };
    assert!(calls.is_monotonic && calls.aggregation_temporality == 2, "cumulative");
    let point = &calls.data_points[0];
    assert_eq!(text(&point.attributes, "component"), "photos");
    assert_eq!(text(&point.attributes, "kind"), "request");
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(7.0)));
    let since = Duration::from_nanos(point.time_unix_nano - point.start_time_unix_nano);
    assert!((2..60).contains(&since.as_secs()), "counted since the platform serves: {since:?}");

    let memory = metric("monopod_memory_bytes");
    let Some(Data::Gauge(bytes)) = &memory.data else { panic!("memory is a value") };
    assert_eq!(memory.unit, "By");
    assert_eq!(bytes.data_points[0].value, Some(number_data_point::Value::AsDouble(65_536.0)));

    let Some(Data::Histogram(times)) = &metric("monopod_call_seconds").data else {
        panic!("times are in buckets")
    };
    let point = &times.data_points[0];
    assert_eq!((point.count, point.sum), (3, Some(0.302)));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    let at = |bound: f64| point.explicit_bounds.iter().position(|it| *it == bound).unwrap();
    assert_eq!((point.bucket_counts[at(0.002_5)], point.bucket_counts[at(0.5)]), (2, 1));
}

#[tokio::test]
async fn what_happened_last_is_pushed_when_the_platform_stops() {
    let collector = Collector::new(200, false).await;
    let (seen, _) = Pushing::to(collector.port, SELDOM).end().await;
    assert_eq!((collector.taken(), seen.snapshots, seen.waiting), (1, [1, 0, 0], 0));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_a_bounded_queue_and_gets_the_newest_when_it_is_back() {
    let collector = Collector::new(503, false).await;
    let pushing = Pushing::to(collector.port, OFTEN);
    until("drop", || pushing.seen().snapshots[2] >= 5).await;
    let seen = pushing.seen();
    assert_eq!(seen.snapshots[..2], [0, 0], "nothing is given up but for want of room");
    assert!(seen.waiting <= QUEUE as u64, "{seen:?}");
    collector.status.store(200, Ordering::SeqCst);
    until("snapshot", || collector.taken() > QUEUE).await;
    let (seen, _) = pushing.end().await;
    assert_eq!(seen.waiting, 0);
    let taken = collector.taken.lock().unwrap();
    let time = |it: &(Parts, ExportMetricsServiceRequest)| {
        let metrics = &it.1.resource_metrics[0].scope_metrics[0].metrics;
        let Some(Data::Gauge(gauge)) = &metrics[0].data else { panic!("{}", metrics[0].name) };
        gauge.data_points[0].time_unix_nano
    };
    assert!(taken.is_sorted_by_key(time), "the oldest first");
}

#[tokio::test]
async fn where_nobody_listens_the_queue_is_bounded_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pushing = Pushing::to(port, OFTEN);
    until("drop", || pushing.seen().snapshots[2] > 0).await;
    let (seen, took) = pushing.end().await;
    assert_eq!(seen.snapshots[..2], [0, 0]);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_collector_that_never_answers_has_one_request_at_a_time_and_holds_up_no_stop() {
    let collector = Collector::new(0, false).await;
    let pushing = Pushing::to(collector.port, OFTEN);
    until("drop", || pushing.seen().snapshots[2] >= 5).await;
    assert_eq!(collector.asked(), 1);
    let (seen, took) = pushing.end().await;
    assert!(seen.waiting <= QUEUE as u64 && seen.snapshots[0] == 0, "{seen:?}");
    assert!(took < Duration::from_secs(10), "two seconds, on a quiet machine: {took:?}");
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    for (status, partial) in [(400, false), (200, true)] {
        let collector = Collector::new(status, partial).await;
        let (seen, _) = Pushing::to(collector.port, SELDOM).end().await;
        assert_eq!((seen.snapshots, seen.waiting), ([0, 1, 0], 0), "{status}");
        assert_eq!(collector.asked(), 1);
    }
}
