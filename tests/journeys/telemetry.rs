//! Figures pushed to the collector that the platform file names. What becomes of them when it is
//! away or refuses them is shown in `host/operate/tests/telemetry.rs`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;

use crate::support::{House, Platform, until};

#[tokio::test]
async fn a_platform_pushes_its_figures_to_the_collector_that_its_file_names() {
    let taken: Arc<Mutex<Vec<(HeaderMap, Bytes)>>> = Arc::default();
    let kept = taken.clone();
    let take =
        move |headers: HeaderMap, body: Bytes| async move { kept.lock().unwrap().push((headers, body)) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let collector = Router::new().route("/otlp/v1/metrics", post(take));
    tokio::spawn(async move { axum::serve(listener, collector).await });

    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "Bearer secret\n").unwrap();
    let telemetry = format!(
        "[telemetry]\nendpoint = \"http://127.0.0.1:{port}/otlp\"\ninterval = \"1s\"\n\
         secrets.authorization = \"{}\"\n\n[identity]\n",
        secret.path().display()
    );
    let house = House::of(&Platform::trackunit().with("[identity]\n", &telemetry)).await;
    let (headers, body) = until("push", || taken.lock().unwrap().pop()).await;
    assert_eq!(headers["authorization"], "Bearer secret");
    let snapshot = ExportMetricsServiceRequest::decode(body).unwrap();
    let metrics = &snapshot.resource_metrics[0].scope_metrics[0].metrics;
    let info = metrics.iter().find(|it| it.name == "monopod_component_info").unwrap();
    let Some(Data::Gauge(info)) = &info.data else { panic!("{info:?}") };
    assert!(info.data_points.len() >= 5, "each component: {info:?}");

    // A short life is seen to its end.
    let before = { std::mem::take(&mut *taken.lock().unwrap()).len() };
    house.stopped().await;
    assert!(!taken.lock().unwrap().is_empty(), "{before} before the stop, and none at it");
}
