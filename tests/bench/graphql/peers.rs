//! What the figures are compared with besides async-graphql, which is a program of its own
//! (`tests/bench/rival`).

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;

/// What `{greet}` is answered, by us and by the peer.
pub const GREETING: &str = r#"{"data":{"greet":"Hello World!"}}"#;
/// What our handler is called in the table.
pub const NATIVE: &str = "axum 0.8, constant answer";
/// What the other is called.
pub const OTHER: &str = "async-graphql 7.2";

/// Serves a router on a free port, which it prints, until it is killed.
pub async fn listen(router: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    axum::serve(listener, router).await.unwrap();
}

/// A handler that reads the question and gives the bytes that we give.
pub async fn greeter() {
    let answer = |question: Bytes| async move {
        assert!(!question.is_empty());
        ([(CONTENT_TYPE, "application/json")], GREETING)
    };
    listen(Router::new().route("/graphql", post(answer))).await;
}
