//! GraphiQL for people at [`super::PATH`]: a page that is part of the program and uses nothing
//! from elsewhere. It may do what its caller's token may do and no more. Asked by `http` where
//! a browser wants a page and the platform file lets it.
//!
//! `graphiql.js.gz` and `graphiql.css.gz` are made by `graphiql/vendor.sh`; the page, its style
//! and its script are ours.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use monopod_core::context::TraceId;

use crate::graph::Inner;
use crate::settings::Login;

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    zipped: bool,
    content: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
static FILES: [File; 4] = [
    File {
        path: "/graphql/graphiql.js",
        content_type: SCRIPT,
        zipped: true,
        content: include_bytes!("../../graphiql/graphiql.js.gz"),
    },
    File {
        path: "/graphql/graphiql.css",
        content_type: STYLE,
        zipped: true,
        content: include_bytes!("../../graphiql/graphiql.css.gz"),
    },
    File {
        path: "/graphql/page.js",
        content_type: SCRIPT,
        zipped: false,
        content: include_bytes!("../../graphiql/page.js"),
    },
    File {
        path: "/graphql/page.css",
        content_type: STYLE,
        zipped: false,
        content: include_bytes!("../../graphiql/page.css"),
    },
];
const PAGE: &str = include_str!("../../graphiql/page.html");

/// The routes of the page's files.
pub fn files() -> Router<Arc<Inner>> {
    FILES.iter().fold(Router::new(), |router, file| {
        let serve = move |State(inner): State<Arc<Inner>>| async move {
            let open = inner.schema.load().settings.graphiql.is_some();
            if open { content(file) } else { StatusCode::NOT_FOUND.into_response() }
        };
        router.route(file.path, get(serve))
    })
}

fn content(file: &File) -> Response {
    let mut response = answer(file.content_type, Body::from(file.content));
    let headers = response.headers_mut();
    if file.zipped {
        // Every browser unpacks it; there is no other form.
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // An hour: long enough for a day's work, short enough for a new version.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    response
}

/// The page.
pub fn page(login: Login) -> Response {
    // 122 random bits: whoever can put a style into the page has to guess them.
    let nonce = TraceId::new().to_string();
    let text = PAGE.replace("$NONCE", &nonce).replace("$LOGIN", login.name());
    let mut response = answer("text/html; charset=utf-8", Body::from(text));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn answer(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
