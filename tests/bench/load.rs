//! Load at a fixed rate, whatever the server does: each request is due at its time, and what it
//! takes is counted from then, so that a stall is not hidden by the requests that it holds up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::figure::percentile;

/// A kept connection of plain HTTP/1.1.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Connection {
    /// To `http://host:port`.
    pub async fn open(base: &str) -> Self {
        let address = base.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // Ends with the connection; what went wrong is told to the sender.
        tokio::spawn(connection);
        Self { sender, host: address.parse().unwrap() }
    }

    /// Sends a request with a path for its address.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        request.headers_mut().insert(HOST, self.host.clone());
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

/// The request of an operation in JSON, with a token.
pub fn post(body: impl Into<Bytes>, token: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post("/graphql").header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Full::new(body.into())).unwrap()
}

/// What became of a load.
pub struct Loaded {
    /// Milliseconds from when each request was due to the end of its answer.
    pub times: Vec<f64>,
    /// Those that were not answered with 200 and data.
    pub failed: usize,
}

impl Loaded {
    /// The 99th percentile, in milliseconds.
    pub fn p99(&self) -> f64 {
        percentile(&self.times, 0.99)
    }
}

/// Posts `body` to `base` so often a second for so long, over as many connections.
#[expect(clippy::disallowed_methods, reason = "a fixed rate: each request begins when its time has come")]
pub async fn open(base: &str, body: &'static str, rate: u32, time: Duration, connections: usize) -> Loaded {
    let (due, tickets) = tokio::sync::mpsc::unbounded_channel();
    // A thread of its own: the runtime's timers have a resolution of a millisecond.
    std::thread::spawn(move || {
        let began = Instant::now();
        for number in 0..(time.as_secs_f64() * f64::from(rate)) as u32 {
            let at = began + Duration::from_secs(1) / rate * number;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if due.send(at).is_err() {
                return;
            }
        }
    });
    let tickets = std::sync::Arc::new(Mutex::new(tickets));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (mut connection, tickets) = (Connection::open(base).await, tickets.clone());
        workers.spawn(async move {
            let mut mine = Loaded { times: Vec::new(), failed: 0 };
            loop {
                let Some(at) = tickets.lock().await.recv().await else { return mine };
                let good = async {
                    let answer = connection.send(post(body, None)).await.ok()?;
                    let fine = answer.status() == 200;
                    let body = answer.into_body().collect().await.ok()?.to_bytes();
                    (fine && body.starts_with(b"{\"data\":")).then_some(())
                };
                if good.await.is_none() {
                    mine.failed += 1;
                }
                mine.times.push(at.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    let mut all = Loaded { times: Vec::new(), failed: 0 };
    while let Some(worker) = workers.join_next().await {
        let mine = worker.unwrap();
        all.times.extend(mine.times);
        all.failed += mine.failed;
    }
    all
}
