//! Servers outside, from a guest's side: what is granted is reached, what is not is refused
//! whatever is tried, and a server that means harm harms one call. What the client does in each
//! phase is shown in `host/edge/tests/edge/outgoing`.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use monopod_core::BoxFuture;
use monopod_core::component::Limits;
use monopod_core::invoke::Error;
use monopod_core::limit::Limit;
use monopod_core::outgoing::Resolver;
use monopod_core::size::Size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{House, Outside, client, limits};

/// A server that answers each connection's only request with what its test says.
pub struct Server {
    port: u16,
    accepted: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn new<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { port, accepted: accepted.clone(), heads: heads.clone() };
        let serve = Arc::new(serve);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (heads, serve) = (heads.clone(), serve.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                    serve(stream).await;
                });
            }
        });
        server
    }

    async fn saying(answer: &'static str) -> Self {
        Self::new(move |mut stream| async move { drop(stream.write_all(answer.as_bytes()).await) }).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://here.test:{}{path}", self.port)
    }

    pub fn grant(&self) -> String {
        self.url("/v1/ at 127.0.0.1")
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";

/// Every name leads to these addresses, one answer after another.
pub struct Names(Mutex<Vec<&'static str>>);

impl Names {
    pub fn leading(to: &[&'static str]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(to.to_vec())))
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        Box::pin(async move { Ok(vec![answer.parse().unwrap()]) })
    }
}

fn house(limits: Limits, granted: &[&str]) -> House {
    House::reaching(limits, Outside::new(granted, Names::leading(&["127.0.0.1"])))
}

#[tokio::test]
async fn a_granted_server_is_reached_with_the_trace_and_without_identity() {
    let server = Server::saying(HELLO).await;
    let house = house(limits(), &[&server.grant()]);
    assert_eq!(house.post("/fetch/0", &server.url("/v1/a?key=x")).await.unwrap(), "200 hello");
    let heads = server.heads.lock().unwrap();
    let head = &heads[0];
    assert!(head.starts_with("GET /v1/a?key=x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: here.test:{}\r\n", server.port)), "{head}");
    assert!(head.contains("traceparent: 00-") && head.contains("authorization: Bearer own\r\n"), "{head}");
    for not in ["x-user", "mallory", "x-forwarded", "x-correlation-id"] {
        assert!(!head.contains(not), "{head}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_refused_before_anybody_is_connected_to() {
    let server = Server::saying(HELLO).await;
    let house = house(limits(), &[&server.grant()]);
    let port = server.port;
    for url in [
        format!("http://here.test:{port}/v2/"),
        format!("http://here.test:{port}/v1"),
        format!("http://here.test:{port}/v1/../v2/"),
        format!("http://here.test:{port}/v1/%2e%2e/v2/"),
        format!("http://here.test:{port}/v1/..%2fv2/"),
        format!("http://here.test:{port}/v1/..;/v2/"),
        format!("https://here.test:{port}/v1/"),
        format!("http://127.0.0.1:{port}/v1/"),
        format!("http://2130706433:{port}/v1/"),
        format!("http://[::ffff:127.0.0.1]:{port}/v1/"),
        format!("http://here.test.:{port}/v1/"),
        format!("http://here.test:{port}@other.test/v1/"),
        format!("http://other.test:{port}/v1/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/latest/meta-data/".to_owned(),
        "http://localhost/".to_owned(),
    ] {
        let answer = house.post("/fetch/0", &url).await.unwrap();
        assert!(answer.starts_with("error: "), "{url}: {answer}");
    }
    assert_eq!(server.accepted(), 0);
    assert_eq!(house.post("/fetch/0", &server.url("/v1/")).await.unwrap(), "200 hello");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_at_the_second_look_is_looked_at_again_and_refused() {
    let server = Server::saying(HELLO).await;
    let names = Names::leading(&["127.0.0.1", "169.254.169.254"]);
    let house = House::reaching(limits(), Outside::new(&[&server.grant()], names));
    assert_eq!(house.post("/fetch/0", &server.url("/v1/")).await.unwrap(), "200 hello");
    let answer = house.post("/fetch/0", &server.url("/v1/")).await.unwrap();
    assert!(answer.contains("DestinationIpProhibited"), "{answer}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_name_without_a_network_in_its_grant_leads_to_no_private_address() {
    let server = Server::saying(HELLO).await;
    let house = house(limits(), &[&server.url("/v1/")]);
    let answer = house.post("/fetch/0", &server.url("/v1/")).await.unwrap();
    assert!(answer.contains("DestinationIpProhibited"), "{answer}");
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_component_that_follows_a_redirect_itself_is_checked_again() {
    let server = Server::saying(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let house = house(limits(), &[&server.grant()]);
    let answer = house.post("/fetch/0", &server.url("/v1/")).await.unwrap();
    assert_eq!(answer.trim(), "307 http://169.254.169.254/latest/", "nobody but the component follows");
    let answer = house.post("/fetch/0", "http://169.254.169.254/latest/").await.unwrap();
    assert!(answer.starts_with("error: ") && answer.contains("http = ["), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_means_harm_harms_one_call_and_keeps_no_connection() {
    let small = Limits { outgoing_body: Size::bytes(64 << 10), deadline: Duration::from_secs(2), ..limits() };
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = Server::new(move |mut stream| async move {
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b"400\r\n").await.is_ok() {
            let _ = stream.write_all(&[b'x'; 0x400]).await;
            let _ = stream.write_all(b"\r\n").await;
        }
    })
    .await;
    let headers = Server::new(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-many: and one more\r\n").await.is_ok() {}
    })
    .await;
    let drip = Server::new(move |mut stream| async move {
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let silent = Server::new(|mut stream| async move { drop(stream.read_u8().await) }).await;
    let cut = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let servers = [&endless, &headers, &drip, &silent, &cut];
    let grants: Vec<String> = servers.iter().map(|server| server.grant()).collect();
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let client = client(Names::leading(&["127.0.0.1"]));
    let house = House::reaching(small, Outside::by(client.clone(), &grants));
    let began = Instant::now();
    for server in servers {
        let url = server.url("/v1/");
        let (harmed, neighbour) =
            futures_util::future::join(house.post("/fetch/0", &url), house.get("/hello")).await;
        assert!(
            matches!(&harmed, Err(Error::TimedOut(_)))
                || harmed.as_ref().is_ok_and(|it| it.starts_with("error: ")),
            "{harmed:?}"
        );
        assert_eq!(neighbour.unwrap(), "hello");
    }
    assert!(began.elapsed() < Duration::from_secs(60));
    // Nothing is left of them: what the guest had open went with it.
    let empty = async {
        while client.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), empty).await.expect("connections remain");
}

#[tokio::test]
async fn a_request_that_a_guest_forgets_ends_with_its_call() {
    let (gone, mut is_gone) = tokio::sync::mpsc::unbounded_channel();
    let silent = Server::new(move |mut stream| {
        let gone = gone.clone();
        async move {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = gone.send(());
        }
    })
    .await;
    let house = house(limits(), &[&silent.grant()]);
    // Whether it is sent at all before the call ends is a race that nobody needs to win.
    for _ in 0..10 {
        assert_eq!(house.get(&format!("/raw/leak/here.test:{}", silent.port)).await.unwrap(), "leaked");
    }
    let sent = silent.heads.lock().unwrap().len();
    for _ in 0..sent {
        tokio::time::timeout(Duration::from_secs(20), is_gone.recv())
            .await
            .expect("it goes on without its guest");
    }
}

#[tokio::test]
async fn no_time_at_all_is_no_crash() {
    let server = Server::saying(HELLO).await;
    let house = house(limits(), &[&server.grant()]);
    let answer = house.get(&format!("/raw/hurry/here.test:{}", server.port)).await.unwrap();
    // A server on this machine may be faster than any clock.
    assert!(answer.contains("Timeout") || answer.contains("200"), "{answer}");
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn sending_again_is_the_components_wish_and_its_header_stays_here() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = Server::new(move |mut stream| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !first {
                let _ = stream.write_all(HELLO.as_bytes()).await;
            }
        }
    })
    .await;
    let house = house(limits(), &[&server.grant()]);
    assert_eq!(house.post("/fetch/1", &server.url("/v1/")).await.unwrap(), "200 hello");
    let heads = server.heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| !head.contains("monopod-retries")), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_connections_wait_and_beyond_those_are_refused_and_counted() {
    let silent = Server::new(|mut stream| async move { drop(stream.read_u8().await) }).await;
    let one = Limits { connections: 1, deadline: Duration::from_secs(5), ..limits() };
    let house = house(one, &[&silent.grant()]);
    let url = silent.url("/v1/");
    // One has the connection, eight wait for it.
    let answers = futures_util::future::join_all((0..12).map(|_| house.post("/fetch/0", &url))).await;
    let refused =
        answers.iter().filter(|it| it.as_ref().is_ok_and(|it| it.contains("ConnectionLimitReached")));
    let refused = refused.count() as u64;
    // One that comes after another's deadline finds its place.
    assert!((1..=3).contains(&refused), "{answers:?}");
    assert_eq!(house.reached(Limit::Connections), refused);
}

#[tokio::test]
async fn bodies_from_servers_outside_are_bounded_and_counted() {
    let said = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n").await;
    let found = Server::new(|mut stream| async move {
        let body = "x".repeat(101);
        let answer =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n{body}\r\n0\r\n\r\n");
        drop(stream.write_all(answer.as_bytes()).await);
    })
    .await;
    let small = Limits { outgoing_body: Size::bytes(100), ..limits() };
    let house = house(small, &[&said.grant(), &found.grant()]);
    for (at, server) in [said, found].iter().enumerate() {
        let answer = house.post("/fetch/0", &server.url("/v1/")).await.unwrap();
        assert!(answer.starts_with("error: "), "{answer}");
        assert_eq!(house.reached(Limit::OutgoingBody), at as u64 + 1);
    }
}

#[tokio::test]
async fn what_is_said_of_refused_requests_is_held_to_the_log_rate() {
    let house = house(Limits { log: Size::bytes(100), ..limits() }, &[]);
    for _ in 0..20 {
        let answer = house.post("/fetch/0", "http://here.test/v1/").await.unwrap();
        assert!(answer.starts_with("error: "), "{answer}");
    }
    assert!(house.reached(Limit::Log) > 10, "{}", house.reached(Limit::Log));
}
