//! The page for people. What it does in a browser is shown by the suite `browser`.

use ::http::Request;
use monopod_graph::{Login, Settings};

use super::support::{Answer, Got, Host, SDL, host_with, settings};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn house(graphiql: Option<Login>) -> Host {
    host_with(SDL, Settings { graphiql, ..settings() }, |_| Answer::Json(200, r#"{"pong":"pong"}"#)).await
}

async fn get(host: &Host, at: &str, accept: &str) -> Got {
    host.send(Request::get(at).header("accept", accept).body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_browser_gets_a_page_that_lets_in_nothing_from_elsewhere() {
    let host = house(Some(Login::Development)).await;
    let (one, other) = (get(&host, "/graphql", BROWSER).await, get(&host, "/graphql", BROWSER).await);
    assert_eq!(
        (one.status, one.headers["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    let policy = one.headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'", "script-src 'self';", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    // The word that lets in a style is another one each time.
    let word = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(word.len() == 32 && one.body.contains(word) && !other.body.contains(word));
    assert_eq!(one.headers["cache-control"], "no-store");
    assert_eq!(one.headers["vary"], "accept");
    assert!(!one.body.contains("://") && !one.body.contains('$'), "{}", one.body);
    for part in one.body.split('"').filter(|part| part.starts_with("/graphql/")) {
        let request = Request::get(part).body(axum::body::Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(host.graph.router(), request).await.unwrap();
        assert_eq!(response.status(), 200, "{part}");
    }
    // Programs are answered as ever, and so is whoever asks for JSON first.
    assert_eq!(get(&host, "/graphql?query=%7Bping%7D", "*/*").await.body, r#"{"data":{"ping":"pong"}}"#);
    let json = get(&host, "/graphql?query=%7Bping%7D", "application/json, text/html").await;
    assert_eq!(json.body, r#"{"data":{"ping":"pong"}}"#);
}

#[tokio::test]
async fn where_the_page_is_switched_off_there_is_nothing_of_it() {
    let host = house(None).await;
    assert_eq!(get(&host, "/graphql?query=%7Bping%7D", BROWSER).await.body, r#"{"data":{"ping":"pong"}}"#);
    assert_eq!(get(&host, "/graphql", "text/html").await.status, 406);
    for file in ["/graphql/graphiql.js", "/graphql/graphiql.css", "/graphql/page.js", "/graphql/page.css"] {
        assert_eq!(get(&host, file, "*/*").await.status, 404, "{file}");
    }
}
