//! A server that does with each connection what its test says, and the client in front of it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use monopod_core::outgoing::{Bounds, Error, Outgoing, Phase, Place, Request, Resolver, permit};
use monopod_core::size::Size;
use monopod_core::{Body, BoxFuture, full};
use monopod_edge::outgoing::{Client, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::house::PATIENCE;

/// A server on a loopback port. Ends with the test's runtime.
pub struct Server {
    pub port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    /// `serve` is given each connection and its number.
    pub async fn new<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(usize, TcpStream) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, stream));
            }
        });
        Self { port, accepted }
    }

    /// Answers every request of every connection with `answer`.
    pub async fn answering(answer: &'static str) -> Self {
        Self::new(move |_, mut stream| async move {
            while !head(&mut stream).await.is_empty() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// A whole answer with `body`.
pub const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// The head of a request; empty at the connection's end.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(read).unwrap()
}

/// Waits until the other side has closed the connection.
pub async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

/// Answers as the test says, and counts how often it was asked.
#[derive(Default)]
pub struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub asked: AtomicUsize,
}

impl Names {
    /// The next answers for `name`; the last one is given for ever.
    pub fn say(&self, name: &str, answers: &[&str]) {
        let answer = |it: &&str| it.split_whitespace().map(|it| it.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(name.to_owned(), answers.iter().map(answer).collect());
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = match self.answers.lock().unwrap().get_mut(name) {
            Some(answers) if answers.len() > 1 => Some(answers.remove(0)),
            Some(answers) => answers.first().cloned(),
            None => None,
        };
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer),
                None if name == "never.test" => std::future::pending().await,
                None => Err(io::Error::other("no such name")),
            }
        })
    }
}

/// A client, and what its component is granted.
pub struct House {
    pub names: Arc<Names>,
    pub client: Client,
}

/// What one test asks for.
pub struct Ask {
    pub component: &'static str,
    pub grant: String,
    pub url: String,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Body,
    pub bounds: Bounds,
}

impl House {
    pub fn new() -> Self {
        Self::trusting(None)
    }

    pub fn trusting(ca: Option<PathBuf>) -> Self {
        let names = Arc::new(Names::default());
        names.say("here.test", &["127.0.0.1"]);
        let settings = Settings { ca, resolver: names.clone(), runtime: tokio::runtime::Handle::current() };
        Self { names, client: Client::new(settings).unwrap() }
    }

    /// The answer's head, and a body that is still to be read.
    pub async fn open(&self, ask: Ask) -> Result<http::Response<Body>, Error> {
        let place: Place = ask.grant.parse().unwrap();
        let permit = permit(&ask.url.parse().unwrap(), [&place]).unwrap();
        let mut request = http::Request::new(ask.body);
        *request.method_mut() = ask.method;
        *request.headers_mut() = ask.headers;
        let component = ask.component.parse().unwrap();
        let sent = self.client.send(Request { component, permit, request, bounds: ask.bounds });
        tokio::time::timeout(PATIENCE, sent).await.expect("an end in bounded time")
    }

    /// The whole answer, or which error came in head or body.
    pub async fn send(&self, ask: Ask) -> Result<http::Response<Bytes>, Error> {
        let (parts, body) = self.open(ask).await?.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("an end in bounded time");
        match body {
            Ok(body) => Ok(http::Response::from_parts(parts, body.to_bytes())),
            Err(error) => Err(*error.downcast::<Error>().expect("an error of the port")),
        }
    }

    /// Waits until no connection is open any more.
    pub async fn empty(&self) {
        let empty = async {
            while self.client.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, empty).await.expect("all connections end");
    }
}

/// GET of a path at `here.test`, which leads to `server`.
pub fn ask(server: &Server, path: &str) -> Ask {
    let origin = format!("http://here.test:{}", server.port);
    Ask {
        component: "one",
        grant: format!("{origin}/ at 127.0.0.1"),
        url: format!("{origin}{path}"),
        method: Method::GET,
        headers: HeaderMap::new(),
        body: full(""),
        bounds: Bounds {
            deadline: std::time::Instant::now() + PATIENCE,
            connect: None,
            first_byte: None,
            between_bytes: None,
            body: Size::mebibytes(1),
            connections: 8,
            retries: 0,
        },
    }
}

/// A short wait for what shall time out.
pub const SHORT: Duration = Duration::from_millis(100);

#[track_caller]
pub fn text(answer: Result<http::Response<Bytes>, Error>) -> String {
    String::from_utf8(answer.unwrap().into_body().to_vec()).unwrap()
}

/// Which phase an error names.
pub fn phase(error: &Error) -> Option<Phase> {
    match error {
        Error::TimedOut(phase) | Error::Cut(phase) => Some(*phase),
        _ => None,
    }
}
