//! The page for people, and what probes ask.

use std::collections::BTreeSet;

use http::{HeaderMap, Request};
use http_body_util::Full;
use monopod_tests::client::Client;
use serde_json::{Value, json};

use crate::support::trackunit;

async fn get(client: &Client, path: &str) -> (u16, HeaderMap, String) {
    let request = Request::get(format!("{}{path}", client.url())).body(Full::default()).unwrap();
    let (head, body) = client.send(request).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn policy(headers: &HeaderMap) -> BTreeSet<String> {
    let policy = headers["content-security-policy"].to_str().unwrap();
    policy.split(';').map(|directive| directive.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

/// What a text refers to: its `src`, its `href`, what its scripts import.
fn referred(text: &str) -> BTreeSet<String> {
    let between = |before: &'static str| text.split(before).skip(1).filter_map(|rest| rest.split('"').next());
    ["src=\"", "href=\"", "from \"", "import(\""].into_iter().flat_map(between).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_is_served_at_the_root_under_a_strict_policy_of_its_own() {
    let house = trackunit().await;
    let (status, headers, page) = get(&house.anybody(), "/").await;
    assert_eq!((status, &headers["content-type"]), (200, &"text/html; charset=utf-8".parse().unwrap()));
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{page}");
    let policy = policy(&headers);
    assert!(policy.contains("default-src 'none'"), "what is not named is forbidden: {policy:?}");
    for directive in ["base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'", "script-src 'self'"]
    {
        assert!(policy.contains(directive), "{directive}: {policy:?}");
    }
    // Nothing inline, nothing evaluated, nothing from anywhere else.
    for directive in &policy {
        for source in directive.split(' ').skip(1) {
            let own = ["'none'", "'self'", "blob:", "'script'"].contains(&source);
            assert!(own, "{directive}");
        }
    }
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn the_page_and_all_it_loads_come_from_the_platform_itself() {
    let house = trackunit().await;
    let client = house.anybody();
    let mut open = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (status, headers, text) = get(&client, &path).await;
        assert_eq!(status, 200, "{path}");
        let kind = headers["content-type"].to_str().unwrap();
        let expected = match path.rsplit_once('.').map(|(_, extension)| extension) {
            None | Some("html") => "text/html",
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("svg") => "image/svg+xml",
            Some(other) => panic!("a file of another kind: {other}"),
        };
        assert!(kind.starts_with(expected), "{path}: {kind}");
        assert!(!policy(&headers).is_empty() && headers["x-content-type-options"] == "nosniff", "{path}");
        for outside in ["http://", "https://", "url(//", "src=\"//", "href=\"//", "@import"] {
            // A namespace names, and is fetched by nobody.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(outside), "{path} has {outside}");
        }
        for target in referred(&text) {
            let target = target.strip_prefix("./").map_or_else(|| target.clone(), |name| format!("/{name}"));
            if target.starts_with('/') {
                open.push(target);
            } else {
                assert!(target.starts_with('#'), "{path} refers to {target}");
            }
        }
    }
    assert!(seen.len() >= 5, "{seen:?}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_page_are_told_apart() {
    let house = trackunit().await;
    let client = house.anybody();
    let (status, headers, page) = get(&client, "/no-such-page").await;
    assert_eq!(status, 404);
    assert!(
        headers["content-type"].to_str().unwrap().starts_with("text/html") && page.contains("href=\"/\"")
    );
    // Services that are not exposed cannot be reached by their paths.
    for path in ["/v1/uploads", "/v1/ping", "/internal/v1/storage/presign-put", "/v1/runs"] {
        assert_eq!(get(&client, path).await.0, 404, "{path}");
    }
    let request = Request::post(format!("{}/", client.url())).body(Full::default()).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 405);
}

#[tokio::test]
async fn probes_are_told_that_it_lives_and_that_it_is_ready() {
    let house = trackunit().await;
    let client = house.anybody();
    for (path, word) in [("/health/live", "live"), ("/health/ready", "ready")] {
        let (status, headers, body) = get(&client, path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body), (200, json!({ "status": word })), "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers.contains_key("x-correlation-id"), "{path}");
    }
}
