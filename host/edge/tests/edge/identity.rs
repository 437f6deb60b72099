//! Who is let in, from the client's side; and the built-in issuer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{Request, Response};
use monopod_edge::{Identity, bind};
use serde_json::Value;

use crate::house::{House, settings};

async fn ask(house: &House, token: &str) -> Response<Bytes> {
    house.send(Request::post("/graphql").header("authorization", token), "").await
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

#[tokio::test]
async fn a_token_makes_a_user_and_no_token_makes_nobody() {
    let house = House::new().await;
    let token = house.token("&scope=analysis%20read").await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        for _ in 0..2 {
            let response = ask(&house, &format!("{scheme} {token}")).await;
            assert!(text(&response).starts_with("ada analysis,read "), "{}", text(&response));
        }
    }
    let response = house.send(Request::post("/graphql"), "").await;
    assert!(text(&response).starts_with("Anonymous "));
}

#[tokio::test]
async fn a_token_that_is_not_accepted_gets_both_protocols_own_answer() {
    let house = House::new().await;
    let expired = house.token("&expires_in=-61").await;
    let good = house.token("").await;
    let none = {
        let payload = good.split('.').nth(1).unwrap();
        format!("eyJhbGciOiJub25lIn0.{payload}.")
    };
    for (header, says) in [
        (format!("Bearer {expired}"), "expired"),
        (format!("Bearer {none}"), "not a signed JWT"),
        (format!("Bearer {}x", good), "not valid"),
        ("Bearer nonsense".to_owned(), "not a signed JWT"),
        ("Bearer ".to_owned(), "Authorization header must be"),
        ("Bearer".to_owned(), "Authorization header must be"),
        ("Basic YWRhOmFkYQ==".to_owned(), "Authorization header must be"),
        (format!("Bearer {}", "x".repeat(25 << 10)), "too long"),
    ] {
        let response = ask(&house, &header).await;
        assert_eq!(response.status(), 401, "{header}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{challenge}");
        assert!(challenge.contains(says), "{challenge}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert!(body["errors"][0]["message"].as_str().unwrap().contains(says), "{body}");
        assert!(response.headers().contains_key("x-correlation-id"));
    }
    let twice = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\
         Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n\r\n"
    );
    assert!(house.raw(twice).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn the_refusal_is_the_same_for_an_exposed_component_and_none_is_called() {
    let house = House::new().await;
    let response = house.send(Request::get("/v1/uploads/a").header("authorization", "Bearer x"), "").await;
    assert_eq!(response.status(), 401);
    assert!(house.behind.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_platform_accepts_the_issuers_tokens_by_discovery() {
    let issuing = House::new().await;
    let issuer = format!("https://localhost:{}/identity", issuing.port);
    let oidc = |issuer: &str, audience: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&folder);
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        let scopes =
            BTreeMap::from([("ada".to_owned(), BTreeSet::from(["analysis".into(), "admin".into()]))]);
        let (ca, subjects) = (Some(issuing.ca()), scopes);
        settings.identity = Identity::Oidc { issuer, audience, ca, subjects };
        House::serve(bind(settings).unwrap(), folder)
    };
    let token = format!("Bearer {}", issuing.token("").await);

    let accepting = oidc(&issuer, "monopod");
    let response = ask(&accepting, &token).await;
    let mine = "ada analysis,admin ";
    assert!(text(&response).starts_with(mine), "the file gives her a scope more: {}", text(&response));
    assert_eq!(accepting.get("/identity/jwks").await.status(), 404, "it issues nothing itself");

    let elsewhere = oidc(&issuer, "api://other");
    let response = ask(&elsewhere, &token).await;
    assert_eq!(response.status(), 401);
    assert!(text(&response).contains("another audience"));

    // Somebody whose discovery document is of another issuer, and nobody at all.
    for issuer in [format!("{issuer}/"), "https://localhost:1/identity".to_owned()] {
        let response = ask(&oidc(&issuer, "monopod"), &token).await;
        assert_eq!(response.status(), 503, "{issuer}");
        assert!(response.headers().contains_key("retry-after"));
        assert!(text(&response).contains("UNAVAILABLE"));
    }
}

#[tokio::test]
async fn a_token_of_one_run_is_good_in_the_next() {
    let house = House::new().await;
    let token = house.token("").await;
    let mut settings = settings(&house.folder);
    settings.public_url = format!("https://localhost:{}", house.port);
    // The same folder and name, another process.
    let bound = bind(settings).unwrap();
    let user = bound.authenticator().bearer(&token).await.unwrap();
    assert_eq!(&*user.owner.subject, "ada");
    assert_eq!(bound.development_issuer(), Some(&*user.owner.issuer));
}

#[tokio::test]
async fn the_issuer_describes_itself() {
    let house = House::new().await;
    let response = house.get("/identity/.well-known/openid-configuration").await;
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(document["issuer"], house.url("/identity"));
    assert_eq!(document["jwks_uri"], house.url("/identity/jwks"));
    assert_eq!(document["device_authorization_endpoint"], house.url("/identity/device_authorization"));
    let keys: Value = serde_json::from_slice(house.get("/identity/jwks").await.body()).unwrap();
    assert_eq!(keys["keys"][0]["crv"], "P-256");
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    assert!(keys["keys"][0].get("d").is_none());
}

#[tokio::test]
async fn a_device_is_approved_by_a_person_on_the_page() {
    let house = House::new().await;
    let (status, begun) =
        house.form("/identity/device_authorization", "client_id=phone&scope=analysis").await;
    assert_eq!(status, 200);
    assert_eq!((&begun["interval"], &begun["expires_in"]), (&5.into(), &600.into()));
    let code = begun["user_code"].as_str().unwrap();
    let complete = begun["verification_uri_complete"].as_str().unwrap();
    assert_eq!(complete, house.url(&format!("/identity/device?user_code={code}")));

    let page = house.get(&format!("/identity/device?user_code={code}")).await;
    assert!(text(&page).contains(code));
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("form-action 'self'"), "{policy}");

    let tries = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=phone&device_code={}",
        begun["device_code"].as_str().unwrap()
    );
    let (status, answer) = house.form("/identity/token", &tries).await;
    assert_eq!((status, &answer["error"]), (400, &"authorization_pending".into()));
    let (status, answer) = house.form("/identity/token", &tries).await;
    assert_eq!((status, &answer["error"]), (400, &"slow_down".into()));

    let (_, begun) = house.form("/identity/device_authorization", "").await;
    let approve = format!("user_code={}&name=grace&action=approve", begun["user_code"].as_str().unwrap());
    assert_eq!(house.form("/identity/device", &approve).await.0, 200);
    assert_eq!(house.form("/identity/device", &approve).await.0, 404, "a code is good once");
    let tries = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={}",
        begun["device_code"].as_str().unwrap()
    );
    let (status, answer) = house.form("/identity/token", &tries).await;
    assert_eq!(
        (status, &answer["token_type"], &answer["expires_in"]),
        (200, &"Bearer".into(), &3_600.into())
    );
    let response = ask(&house, &format!("Bearer {}", answer["access_token"].as_str().unwrap())).await;
    assert!(text(&response).starts_with("grace analysis "));
}

#[tokio::test]
async fn a_request_the_issuer_cannot_grant_gets_oauths_own_error() {
    let house = House::new().await;
    let credentials = |more: &str| format!("grant_type=client_credentials&client_id={more}");
    for (form, error) in [
        (String::new(), "invalid_request"),
        ("grant_type=password&username=a".to_owned(), "unsupported_grant_type"),
        ("grant_type=client_credentials".to_owned(), "invalid_request"),
        (credentials("a&client_id=b"), "invalid_request"),
        (credentials("%3Cb%3E"), "invalid_client"),
        (credentials(&"a".repeat(65)), "invalid_client"),
        (credentials("a&scope=%22"), "invalid_scope"),
        (credentials("a&expires_in=86401"), "invalid_request"),
        (credentials("a&expires_in=soon"), "invalid_request"),
        ("grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=x".to_owned(), "invalid_grant"),
        (credentials(&format!("a&x={}", "y".repeat(9_000))), "invalid_request"),
    ] {
        let (status, answer) = house.form("/identity/token", &form).await;
        assert!((400..500).contains(&status) && answer["error"] == error, "{form}: {status} {answer}");
    }
    let response = house.send(Request::post("/identity/token"), "grant_type=client_credentials").await;
    assert_eq!(response.status(), 415);
    assert_eq!(house.get("/identity/token").await.status(), 405);
    assert_eq!(house.get("/identity/other").await.status(), 404);
}

#[tokio::test]
async fn the_issuer_is_not_fooled_by_another_host_or_origin() {
    let house = House::new().await;
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "localhost.evil.example:8443"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let request = Request::post("/identity/token")
            .header(name, value)
            .header("content-type", "application/x-www-form-urlencoded");
        let response = house.send(request, "grant_type=client_credentials&client_id=a").await;
        assert_eq!(response.status(), 403, "{name}: {value}");
    }
    // What a proxy would say of itself changes nothing: nobody here believes it.
    let request = Request::get("/identity/jwks")
        .header("x-forwarded-host", "evil")
        .header("x-forwarded-for", "1.2.3.4");
    assert_eq!(house.send(request, "").await.status(), 200);
}
