//! Drafts of WASI, as a component sees them through the bindings that everybody uses, in a real
//! host: settings, log lines, key-value state inside the unit of work, spans.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use monopod_tests::client::Client;
use monopod_tests::host::{Host, Setup};
use serde_json::Value;
use tempfile::TempDir;

/// What a caller says its trace is.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const PLATFORM: &str = r#"
[platform]
name = "drafts"

[identity]
development = true

[components.drafts]
bundle = "drafts"
expose = "/"
[components.drafts.grants]
buckets = ["numbers"]
"#;

struct House {
    host: Host,
    client: Client,
    _folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let platform = folder.path().join("platform.toml");
        std::fs::write(&platform, PLATFORM).unwrap();
        let host = Setup { platform, ..Setup::trackunit(folder.path()) }.start().await;
        let client = Client::new(host.url(), &host.setup().ca());
        Self { host, client, _folder: folder }
    }

    async fn ask(&self, method: &str, path: &str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.host.url()))
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
            .body(Full::<Bytes>::default())
            .unwrap();
        String::from_utf8(self.client.send(request).await.unwrap().body().to_vec()).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path).await
    }

    async fn post(&self, path: &str) -> String {
        self.ask("POST", path).await
    }

    /// Ends it, and returns its log.
    async fn log(self) -> Vec<Value> {
        let file = self.host.setup().log.clone();
        self.host.stop().await;
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

#[tokio::test]
async fn settings_are_read_by_their_own_names() {
    let house = House::new().await;
    assert_eq!(house.get("/config/max-age").await, "a week");
    assert_eq!(house.get("/config/MAX_AGE").await, "a week");
    assert_eq!(house.get("/config/min-age").await, "nothing");
    assert_eq!(house.get("/config").await, "max-age=a week");
}

#[tokio::test]
async fn log_lines_and_spans_carry_the_component_and_the_trace_of_the_call() {
    let house = House::new().await;
    assert_eq!(house.post("/log").await, "logged");
    assert_eq!(house.get("/trace").await, TRACE);
    let log = house.log().await;
    let line = |part: &str| {
        let said = |entry: &&Value| entry["msg"].as_str().is_some_and(|msg| msg.contains(part));
        log.iter().find(said).unwrap_or_else(|| panic!("no line has {part:?}: {log:?}"))
    };
    let logged = line("orders: two lines in one");
    assert_eq!((&logged["level"], &logged["component"]), (&"warn".into(), &"drafts".into()), "{logged}");
    assert_eq!(logged["trace"], TRACE, "{logged}");
}

#[tokio::test]
async fn key_value_state_is_the_components_own_and_part_of_its_unit_of_work() {
    let house = House::new().await;
    assert_eq!(house.get("/open/numbers").await, "opened");
    assert_eq!(house.get("/open/secrets").await, "access denied");
    assert_eq!(house.post("/set/a/one").await, "one");
    assert_eq!(house.get("/get/a").await, "one");
    assert_eq!(house.get("/exists/a").await, "true");
    assert_eq!(house.get("/exists/b").await, "false");
    // Counters add up, of a call that fails nothing remains, and text is not counted on.
    assert_eq!(house.post("/count/n").await, "2");
    assert_eq!(house.post("/count-then-fail/n").await, "as asked");
    assert_eq!(house.post("/count/n").await, "4");
    assert_eq!(house.post("/count/a").await, "the value of `a` is not a number");
    assert_eq!(house.post("/remove/a/n").await, "0");
    // Two pages, each written as one batch.
    assert_eq!(house.post("/fill/p/900").await, "900");
    assert_eq!(house.post("/fill/q/900").await, "900");
    assert_eq!(house.get("/keys").await, "1800 p00000 q00899");
    assert!(house.post("/fill/r/1001").await.contains("at most 1000"), "a batch has a bound");
}

#[tokio::test]
async fn calls_that_count_at_once_are_each_counted() {
    let house = House::new().await;
    let counts = (0..20).map(|_| {
        let client = house.client.another();
        let url = format!("{}/count/shared", house.host.url());
        async move { client.send(Request::post(url).body(Full::default()).unwrap()).await.unwrap() }
    });
    for answer in futures_util::future::join_all(counts).await {
        assert_eq!(answer.status(), http::StatusCode::OK, "{:?}", answer.body());
    }
    assert_eq!(house.get("/get/shared").await, "40");
}
