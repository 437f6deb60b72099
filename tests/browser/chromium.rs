//! Headless Chromium over its DevTools protocol: the few commands the suite needs.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long the browser may take to start, and to answer one command.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer: a screenshot of a tall page in base64.
const MAX_ANSWER: usize = 64 << 20;

pub struct Chromium {
    socket: WebSocketStream<TcpStream>,
    session: String,
    next: u64,
    events: VecDeque<Value>,
    _child: Child,
    _profile: TempDir,
}

impl Chromium {
    /// A browser with one empty page, of the size of a screen.
    pub async fn start(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                // The development certificate; what TLS refuses is tested elsewhere.
                "--ignore-certificate-errors",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},{height}"))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("chromium is installed (Debian's package of that name)");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return url.trim().to_owned();
                }
            }
            panic!("chromium ended before it listened")
        })
        .await
        .expect("chromium starts in time");
        // Read on, so that it never waits for a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let address = url.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
        let stream = TcpStream::connect(&address).await.unwrap();
        let config =
            WebSocketConfig::default().max_message_size(Some(MAX_ANSWER)).max_frame_size(Some(MAX_ANSWER));
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(url.as_str(), stream, Some(config)).await.unwrap();
        let mut browser = Self {
            socket,
            session: String::new(),
            next: 0,
            events: VecDeque::new(),
            _child: child,
            _profile: profile,
        };
        let target = browser.command("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.command("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            browser.command(&format!("{domain}.enable"), json!({})).await;
        }
        // Nothing moves, so that a screenshot shows what stands there in the end.
        let still = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
        browser.command("Emulation.setEmulatedMedia", still).await;
        browser.size(width, height).await;
        browser
    }

    /// Sends a command and returns its result. Events that come meanwhile are kept.
    pub async fn command(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        let answered = tokio::time::timeout(PATIENCE, async {
            loop {
                let Some(Ok(message)) = self.socket.next().await else { panic!("chromium is gone") };
                let Message::Text(text) = message else { continue };
                let answer: Value = serde_json::from_str(&text).unwrap();
                if answer["id"] == json!(id) {
                    assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
                    return answer["result"].clone();
                }
                self.events.push_back(answer);
            }
        });
        answered.await.unwrap_or_else(|_| panic!("{method} was not answered in {PATIENCE:?}"))
    }

    /// The size of the screen, as a phone or a desk has it.
    pub async fn size(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub async fn open(&mut self, url: &str) {
        self.command("Page.navigate", json!({ "url": url })).await;
        self.until("document.readyState === 'complete' && location.protocol === 'https:'").await;
    }

    /// The value of an expression in the page.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.command("Runtime.evaluate", params).await;
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    pub async fn text(&mut self, expression: &str) -> String {
        self.evaluate(expression).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true. The page is asked once per frame, by itself.
    pub async fn until(&mut self, expression: &str) {
        let wait = format!(
            "new Promise(done => {{ const ask = () => ({expression}) ? done(true) : setTimeout(ask, 20); ask(); \
             setTimeout(() => done(false), 20000); }})"
        );
        if self.evaluate(&wait).await != json!(true) {
            let page = self.text("document.body.innerText").await;
            panic!("the page did not come to `{expression}`; it shows:\n{page}");
        }
    }

    /// Puts a file into a file input, as the file dialog would.
    pub async fn choose(&mut self, selector: &str, file: &Path) {
        let document = self.command("DOM.getDocument", json!({})).await;
        let found = json!({ "nodeId": document["root"]["nodeId"], "selector": selector });
        let node = self.command("DOM.querySelector", found).await;
        let files = json!({ "files": [file.canonicalize().unwrap()], "nodeId": node["nodeId"] });
        self.command("DOM.setFileInputFiles", files).await;
    }

    /// Presses and releases a key.
    pub async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.command(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 9 }),
            )
            .await;
        }
    }

    /// The whole page as PNG.
    pub async fn screenshot(&mut self, file: &Path) {
        let shot = self.command("Page.captureScreenshot", json!({ "format": "png" })).await;
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// Everything the browser complained of so far: exceptions, refused resources, errors.
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |event: &Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(event["params"]["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if event["params"]["entry"]["level"] == "error" => {
                Some(event["params"]["entry"].to_string())
            }
            _ => None,
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// The address of everything the page asked for.
    pub fn requested(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }
}
