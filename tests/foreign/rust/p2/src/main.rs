//! An ordinary `wstd` service for `wasi:http` 0.2: a greeting, and an echo.

use wstd::http::{Body, Error, Method, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    if request.method() == Method::POST {
        return Ok(Response::new(request.into_body()));
    }
    let greeted = std::env::var("GREETED").unwrap_or_else(|_| "nobody".to_owned());
    Ok(Response::new(format!("hello from rust 0.2, {greeted}").into()))
}
