//! The operator's door, asked over real sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use monopod_core::BoxFuture;
use monopod_core::identity::{Owner, User};
use monopod_core::seen::{Component, Platform};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;

struct One;

impl Source for One {
    fn look(&self) -> Platform {
        let mut component = Component::new("photos".parse().unwrap(), "1.0.0".into());
        component.calls[0] = 7;
        Platform {
            name: "tu".into(),
            uptime: Duration::from_secs(2),
            components: vec![component],
            ..Platform::default()
        }
    }
}

/// Knows one token, `good`.
struct Tokens;

impl Authenticator for Tokens {
    fn bearer<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Arc<User>, monopod_core::identity::Refused>> {
        Box::pin(async move {
            let scopes = match token {
                "good" => vec!["operate".to_owned()],
                "poor" => Vec::new(),
                _ => return Err(monopod_core::identity::Refused::Invalid("unknown")),
            };
            let owner = Owner { issuer: "i".into(), subject: "s".into() };
            Ok(Arc::new(User { owner, name: None, scopes, expires_at: u64::MAX }))
        })
    }
}

async fn open(folder: &Path, policy: Option<&str>) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let any = Some("127.0.0.1:0".parse().unwrap());
    let policy = policy.map(|scope| [scope.to_owned()].into());
    let bound = bind(Settings { folder: folder.into(), listen: any, policy, metrics: any }).await.unwrap();
    let addresses = (bound.address(), bound.metrics());
    tokio::spawn(bound.serve(Arc::new(One), Arc::new(Tokens)));
    addresses
}

async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, head: &str) -> String {
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn over_tcp(address: Option<SocketAddr>, head: &str) -> String {
    ask(TcpStream::connect(address.unwrap()).await.unwrap(), head).await
}

#[tokio::test]
async fn the_socket_is_the_users_own_and_answers_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    // Left behind by a process that was killed.
    std::fs::write(folder.path().join(SOCKET), "").unwrap();
    open(folder.path(), Some("operate")).await;
    let path = folder.path().join(SOCKET);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answer =
        ask(UnixStream::connect(&path).await.unwrap(), "GET /admin/status HTTP/1.1\r\nhost: monopod").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status: Status = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((status.platform.as_str(), status.components[0].calls), ("tu", 7));
    // Compared with the start.
    assert!(status.components[0].calls_per_second > 0.0 && status.window > 0.0);
}

#[tokio::test]
async fn the_address_answers_page_and_metrics_to_who_means_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, metrics) = open(folder.path(), None).await;
    let page = over_tcp(listen, "GET /admin HTTP/1.1\r\nhost: localhost:9443").await;
    assert!(
        page.contains("<title>monopod") && page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    for path in ["/admin/page.js", "/admin/page.css", "/metrics"] {
        let answer = over_tcp(listen, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let rebound = over_tcp(listen, "GET /admin/status HTTP/1.1\r\nhost: evil.example").await;
    assert!(rebound.starts_with("HTTP/1.1 421") && !rebound.contains("photos"), "{rebound}");
    let posted = over_tcp(listen, "POST /metrics HTTP/1.1\r\nhost: [::1]:1\r\ncontent-length: 0").await;
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");

    let scraped = over_tcp(metrics, "GET /metrics HTTP/1.1\r\nhost: pod.example").await;
    assert!(scraped.contains("monopod_calls_total{component=\"photos\",kind=\"request\"} 7"), "{scraped}");
    let more = over_tcp(metrics, "GET /admin/status HTTP/1.1\r\nhost: pod.example").await;
    assert!(more.starts_with("HTTP/1.1 404") && !more.contains("photos"), "{more}");
}

#[tokio::test]
async fn with_a_policy_a_token_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, _) = open(folder.path(), Some("operate")).await;
    for (header, status) in [
        ("x: y", "401"),
        ("authorization: Bearer bad", "401"),
        ("authorization: Bearer poor", "403"),
        ("authorization: Bearer good", "200"),
    ] {
        let answer = over_tcp(listen, &format!("GET /admin HTTP/1.1\r\nhost: localhost\r\n{header}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{header}: {answer}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (taken, _) = open(folder.path(), None).await;
    let settings = Settings { folder: folder.path().into(), listen: None, policy: None, metrics: taken };
    let Err(error) = bind(settings).await else { panic!("it was opened twice") };
    assert!(error.to_string().contains("[admin] metrics"), "{error}");
}
