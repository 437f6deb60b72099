//! The peer of components over plain HTTP: what a native axum handler gives, built with the same
//! profile and allocator, that knows nothing of components, limits or identity.

use std::process::Stdio;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The argument that makes this program the peer.
pub const ARGUMENT: &str = "native";
/// What it is, for the table.
pub const NAME: &str = "axum 0.8";

/// Serves until it is killed. Prints its port first.
pub async fn serve() {
    let router = Router::new()
        .route("/hello", get(|| async { "Hello, World!" }))
        .route("/echo", post(|body: Bytes| async { body }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    axum::serve(listener, router).await.unwrap();
}

/// Starts it; its process and its address.
pub async fn start() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(ARGUMENT)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let port = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (child, format!("http://127.0.0.1:{port}"))
}
