//! temporary
use serde_json::Value;
use super::support::{Answer, host};
#[tokio::test]
async fn speed() {
    let host = host(|_| Answer::Json(200, r#"{"pong":"pong"}"#)).await;
    use tower::ServiceExt;
    use http_body_util::BodyExt;
    let router = host.graph.router();
    host.post(None, "{ping}", Value::Null).await;
    for round in 0..3 {
        let n = 100_000;
        let began = std::time::Instant::now();
        for _ in 0..n {
            let mut request = ::http::Request::post("/graphql").header("content-type", "application/json").body(axum::body::Body::from("{\"query\":\"{ping}\"}")).unwrap();
            request.extensions_mut().insert(monopod_core::context::Context::new(monopod_core::identity::Principal::Anonymous, std::time::Duration::from_secs(5)));
            let response = router.clone().oneshot(request).await.unwrap();
            let _ = response.into_body().collect().await.unwrap();
        }
        println!("{round}: {:?} each", began.elapsed() / n);
        host.fakes.seen.lock().unwrap().clear();
        let began = std::time::Instant::now();
        for _ in 0..n {
            let request = ::http::Request::post("/graphql").header("content-type", "application/json").body(axum::body::Body::from("{\"query\":\"{__typename}\"}")).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let _ = response.into_body().collect().await.unwrap();
        }
        println!("{round}: typename {:?} each", began.elapsed() / n);
        let began = std::time::Instant::now();
        for i in 0..2000 {
            let q = format!("query Q{i} {{ping strict{{a b nested{{c}} constant}} search(text:\"{i}\"){{uploadId state owner{{name email}} parts{{number size}}}} {} }}", (0..60).map(|k| format!("f{k}: search(text:\"k{k}\"){{uploadId}} ")).collect::<String>());
            if i == 0 { println!("{} bytes", q.len()); }
            let body = serde_json::json!({"query": q}).to_string();
            let request = ::http::Request::post("/graphql").header("content-type", "application/json").body(axum::body::Body::from(body)).unwrap();
            let _ = router.clone().oneshot(request).await.unwrap();
        }
        println!("{round}: plan {:?} each", began.elapsed() / 2000);
    }
}
