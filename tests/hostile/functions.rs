//! Functions: bytes in, bytes or a problem out, and a unit of work as for every call.

use monopod_core::invoke::Error;

use crate::support::House;

#[tokio::test]
async fn a_function_answers_a_post_with_what_it_returns() {
    let house = House::function("echo");
    assert_eq!(house.send("POST", "/v1/echo", "hello").await.unwrap(), (200, "hello".into()));
    let large = "x".repeat(200_000);
    assert_eq!(house.send("POST", "/echo", &large).await.unwrap(), (200, large));
    assert_eq!(house.post("/v1/name?of=it", "").await.unwrap(), "/v1/name?of=it");
    let (status, text) = house.send("GET", "/echo", "").await.unwrap();
    assert!(status == 405 && text.contains("POST"), "{status} {text}");
}

#[tokio::test]
async fn a_functions_problem_is_told_in_the_shape_clients_know() {
    let house = House::function("echo");
    for (name, status, expect) in [
        ("invalid", 400, r#"{"code":"BAD_REQUEST","error":"Not what it takes."}"#),
        ("conflict", 409, r#"{"code":"TAKEN","error":"It is there already."}"#),
        ("fields", 422, r#"{"errors":{"bytes":["GreaterThanZero"]}}"#),
        ("other", 404, r#"{"code":"NOT_FOUND","error":"There is no function /other."}"#),
    ] {
        let (found, text) = house.send("POST", &format!("/{name}"), "").await.unwrap();
        assert_eq!((found, text.as_str()), (status, expect), "{name}");
    }
}

#[tokio::test]
async fn a_functions_unit_is_committed_when_it_answers_and_only_then() {
    let house = House::function("echo");
    assert_eq!(house.post("/count", "").await.unwrap(), "1");
    assert_eq!(house.send("POST", "/count", "fail").await.unwrap().0, 503);
    assert!(matches!(house.post("/trap", "").await, Err(Error::Trapped { .. })));
    assert_eq!(house.post("/count", "").await.unwrap(), "2");
}

#[tokio::test]
async fn a_body_beyond_the_functions_limit_is_refused() {
    let house = House::function("echo");
    let (status, text) = house.send("POST", "/echo", &"x".repeat(1 << 21)).await.unwrap();
    assert!(status == 413 && text.contains("PAYLOAD_TOO_LARGE"), "{status} {text}");
}
