//! The page on which a person approves a device: a plain form, no script, nothing from
//! elsewhere.

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::device::tidy;
use super::form::Form;
use crate::answer::Answer;

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem;\
color:#1b1b1b;background:#fff}label{display:block;margin:1rem 0 .25rem}\
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #6b6b6b;border-radius:.3rem}\
button{font:inherit;padding:.5rem 1.25rem;margin:1.25rem .75rem 0 0;border-radius:.3rem;border:1px solid #1b1b1b;\
background:#fff;color:#1b1b1b}button[value=approve]{background:#0b5d2a;border-color:#0b5d2a;color:#fff}\
p.mark{background:#fff2c2;padding:.5rem .75rem;border-radius:.3rem}";

/// The form, with the code of the address filled in.
pub(super) fn ask(query: &str) -> Answer {
    let form = Form::of_query(query);
    // Only what is shaped like a code is ever shown: nothing to escape.
    let code = form.get("user_code").ok().flatten().and_then(tidy).unwrap_or_default();
    page(
        StatusCode::OK,
        "Sign in",
        &format!(
            "<form method=\"post\" action=\"/identity/device\">\
             <label for=\"code\">Code shown by the device</label>\
             <input id=\"code\" name=\"user_code\" value=\"{code}\" required autocomplete=\"off\" \
             autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"16\">\
             <label for=\"name\">Sign in as (any name)</label>\
             <input id=\"name\" name=\"name\" value=\"developer\" maxlength=\"64\" autocomplete=\"username\">\
             <button name=\"action\" value=\"approve\">Approve</button>\
             <button name=\"action\" value=\"deny\" formnovalidate>Deny</button></form>"
        ),
    )
}

/// What came of it. `name` holds nothing that would need escaping: it was checked.
pub(super) fn decided(known: bool, name: Option<&str>) -> Answer {
    match (known, name) {
        (true, Some(name)) => {
            let text = format!("<p>The device is signed in as <b>{name}</b>. You can close this page.</p>");
            page(StatusCode::OK, "Approved", &text)
        }
        (true, None) => {
            page(StatusCode::OK, "Denied", "<p>The device was denied. You can close this page.</p>")
        }
        (false, _) => page(
            StatusCode::NOT_FOUND,
            "No such code",
            "<p>No device waits with this code: it was mistyped, used already, or has expired.</p>\
             <p><a href=\"/identity/device\">Try another code</a></p>",
        ),
    }
}

/// A form that cannot be used.
pub(super) fn wrong(text: &str) -> Answer {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let again = "<p><a href=\"/identity/device\">Back</a></p>";
    page(StatusCode::BAD_REQUEST, "That did not work", &format!("<p>{text}</p>{again}"))
}

fn page(status: StatusCode, title: &str, content: &str) -> Answer {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style><body><main><h1>{title}</h1>\
         <p class=\"mark\">Development sign-in: no password, this machine only.</p>{content}</main></body></html>"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::try_from(policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn policy() -> String {
    let hash = STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn nothing_of_the_address_reaches_the_page_but_a_code() {
        for (query, shown) in [
            ("user_code=bcdf-ghjk", "value=\"BCDF-GHJK\""),
            ("user_code=%22%3E%3Cscript%3E", "name=\"user_code\" value=\"\""),
            ("user_code=BCDFGHJK&user_code=BCDFGHJK", "name=\"user_code\" value=\"\""),
            ("", "name=\"user_code\" value=\"\""),
        ] {
            let body = ask(query).into_body().collect().await.unwrap().to_bytes();
            let html = std::str::from_utf8(&body).unwrap();
            assert!(html.contains(shown), "{query}");
            assert!(!html.contains("script"), "{query}");
        }
    }
}
