//! What only a guest without the SDK can do wrong: `/raw/<what>`, on the bare interface.

use std::time::Duration;

use monopod_sdk::bindings::http_service;
use monopod_sdk::bindings::imports::wasi::http::types::{
    ErrorCode, Fields, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions, Scheme,
};
use monopod_sdk::bindings::imports::wasi::http::{outgoing_handler, types};
use monopod_sdk::bindings::imports::wasi::io::streams::OutputStream;
use monopod_sdk::bindings::imports::wasi::random::random;

use super::probe::Probe;

struct Shell;

impl http_service::Guest for Shell {
    fn handle(request: http_service::IncomingRequest, out: http_service::ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.strip_prefix("/raw/") {
            Some(what) => raw(what, out),
            None => {
                if let Some((request, out)) = super::streams::handle(request, out) {
                    monopod_sdk::shell::http::<Probe>(request, out);
                }
            }
        }
    }
}

http_service::export!(Shell with_types_in monopod_sdk::bindings::http_service);

/// Begins an answer with these headers.
fn begin(headers: &[(&str, &str)], out: http_service::ResponseOutparam) -> (OutgoingBody, OutputStream) {
    let entries: Vec<_> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let Ok(fields) = Fields::from_list(&entries) else { core::arch::wasm32::unreachable() };
    let response = OutgoingResponse::new(fields);
    let Ok(body) = response.body() else { core::arch::wasm32::unreachable() };
    types::ResponseOutparam::set(out, Ok(response));
    let Ok(stream) = body.write() else { core::arch::wasm32::unreachable() };
    (body, stream)
}

fn say(text: &str, out: http_service::ResponseOutparam) {
    let (body, stream) = begin(&[], out);
    let _ = stream.blocking_write_and_flush(text.as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn raw(what: &str, out: http_service::ResponseOutparam) {
    match what {
        // An answer that never ends, in each of the ways.
        "endless" => {
            let (_body, stream) = begin(&[], out);
            while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
        }
        "drip" => {
            let (_body, stream) = begin(&[], out);
            while stream.blocking_write_and_flush(b".").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        "empty" => {
            let (_body, stream) = begin(&[], out);
            while stream.blocking_write_and_flush(b"").is_ok() {}
        }
        "held" => {
            let (_body, stream) = begin(&[], out);
            let _ = stream.blocking_write_and_flush(b"half");
            std::thread::sleep(Duration::from_secs(3_600));
        }
        "spun" => {
            let (_body, stream) = begin(&[], out);
            let _ = stream.blocking_write_and_flush(b"half");
            loop {
                std::hint::black_box(0);
            }
        }
        // An answer that ends before it is whole.
        "dropped" => {
            let (body, stream) = begin(&[], out);
            let _ = stream.blocking_write_and_flush(b"half");
            drop(stream);
            drop(body);
        }
        "short" => {
            let (body, stream) = begin(&[("content-length", "10")], out);
            let _ = stream.blocking_write_and_flush(b"half");
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
        "long" => {
            let (body, stream) = begin(&[("content-length", "4")], out);
            let _ = stream.blocking_write_and_flush(b"more than that");
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
        "none" => drop(out),
        "error" => types::ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("asked to".into())))),
        // What the interface itself refuses.
        "invalid" => say(&invalid(), out),
        "headers" => {
            let fields = Fields::new();
            let mut many = 0_u32;
            while many < 1_000_000 && fields.append(&format!("x-{many}"), b"value").is_ok() {
                many += 1;
            }
            say(&many.to_string(), out);
        }
        "header-size" => {
            let (fields, value) = (Fields::new(), vec![b'x'; 1 << 20]);
            say(if fields.append("x-large", &value).is_ok() { "taken" } else { "refused" }, out);
        }
        // Greed.
        "handles" => loop {
            std::mem::forget(Fields::new());
        },
        "storm" => loop {
            std::hint::black_box(random::get_random_u64());
        },
        // What an earlier guest left in its memory, if anything.
        "remember" => {
            std::mem::forget(vec![MARK; 8 << 20]);
            say("remembered", out);
        }
        "recall" => say(&recall().to_string(), out),
        "random" => say(&random::get_random_bytes(1 << 31).len().to_string(), out),
        // A request to the server that is named, in no time or forgotten.
        what => {
            let request = OutgoingRequest::new(Fields::new());
            let _ = request.set_scheme(Some(&Scheme::Http));
            let _ = request.set_authority(what.split_once('/').map(|(_, authority)| authority));
            let _ = request.set_path_with_query(Some("/v1/"));
            if what.starts_with("leak/") {
                std::mem::forget(outgoing_handler::handle(request, None));
                return say("leaked", out);
            }
            let options = RequestOptions::new();
            let _ = options.set_connect_timeout(Some(0));
            let _ = options.set_first_byte_timeout(Some(0));
            let _ = options.set_between_bytes_timeout(Some(0));
            match outgoing_handler::handle(request, Some(options)) {
                Ok(pending) => {
                    pending.subscribe().block();
                    let answer = pending.get().map(|it| it.map(|it| it.map(|answer| answer.status())));
                    say(&format!("{answer:?}"), out);
                }
                Err(error) => say(&format!("{error:?}"), out),
            }
        }
    }
}

/// Nothing in the guest's own code has so many of it in a row.
const MARK: u8 = 0xa7;

/// How much of this memory an earlier guest has written: runs of the mark.
#[expect(unsafe_code, reason = "it reads what was never given to it")]
fn recall() -> usize {
    let end = core::arch::wasm32::memory_size(0) * 65_536;
    let (mut run, mut runs) = (0, 0);
    for at in 1024..end {
        // SAFETY: within the memory; what it holds is the question.
        let byte = unsafe { std::ptr::read_volatile(at as *const u8) };
        run = if byte == MARK { run + 1 } else { 0 };
        runs += usize::from(run == 64);
    }
    runs
}

/// What was wrongly taken; nothing if all is well.
fn invalid() -> String {
    let mut taken = String::new();
    for (name, value) in [
        ("a b", &b"x"[..]),
        ("", b"x"),
        ("x\r\ny", b"x"),
        ("x", b"a\r\ny: b"),
        ("x", b"a\0"),
        ("transfer-encoding", b"chunked"),
        ("connection", b"close"),
        ("host", b"evil.test"),
    ] {
        if Fields::from_list(&[(name.to_owned(), value.to_vec())]).is_ok() {
            taken += &format!("{name:?} ");
        }
    }
    let lengths = ["1", "2"].map(|it| ("content-length".to_owned(), it.as_bytes().to_vec()));
    if Fields::from_list(&lengths).is_ok() {
        taken += "two lengths ";
    }
    let response = OutgoingResponse::new(Fields::new());
    for status in [0, 99, 1_000, u16::MAX] {
        if response.set_status_code(status).is_ok() {
            taken += &format!("status {status} ");
        }
    }
    let request = OutgoingRequest::new(Fields::new());
    for path in ["http://evil.test/", "evil", "/a b", "/a\r\nb"] {
        if request.set_path_with_query(Some(path)).is_ok() {
            taken += &format!("path {path:?} ");
        }
    }
    taken
}
