//! What the SDK's `Http` cannot do, or would never: responses that stream, break off, drip or do
//! not end, changes after the response, handles that are kept.

use std::time::Duration;

use monopod_sdk::Host;
use monopod_sdk::bindings::imports::wasi::http::types as wasi;
use monopod_sdk::bindings::imports::wasi::io::streams::{OutputStream, StreamError};
use monopod_sdk::ports::Buckets;

/// The size of a chunk where nothing depends on it.
const CHUNK: usize = 64 << 10;

/// Answers what is asked for below `/streams`; gives the rest back.
pub fn handle(
    request: wasi::IncomingRequest,
    out: wasi::ResponseOutparam,
) -> Option<(wasi::IncomingRequest, wasi::ResponseOutparam)> {
    let path = request.path_with_query().unwrap_or_default();
    let Some(what) = path.strip_prefix("/streams/") else { return Some((request, out)) };
    match what.split('/').collect::<Vec<_>>().as_slice() {
        ["unset"] => {}
        ["stream", size] => stream(out, size.parse().unwrap_or(0)),
        ["pipe"] => pipe(request, out),
        ["late-write"] => {
            let (body, stream) = respond(out);
            let answer = Host.set("counters", "late", b"1");
            write(&stream, answer.map_or_else(|error| error.to_string(), |()| "taken".into()).as_bytes());
            finish(body, stream);
        }
        ["write-first"] => {
            let before = Host.set("counters", "first", b"1");
            let (body, stream) = respond(out);
            let after = Host.set("counters", "second", b"2");
            write(&stream, format!("{} {}", before.is_ok(), after.is_ok()).as_bytes());
            finish(body, stream);
        }
        ["endless"] => {
            let (_body, stream) = respond(out);
            write(&stream, b"begun");
            std::thread::sleep(Duration::from_secs(3_600));
        }
        ["drip"] => {
            let (_body, stream) = respond(out);
            loop {
                write(&stream, b"x");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        ["trap-midway"] => {
            let (_body, stream) = respond(out);
            // More than the host's buffers hold, so that the response is on its way.
            write(&stream, &vec![b'x'; 64 * CHUNK]);
            super::probe::trap();
        }
        ["keep"] => {
            std::mem::forget(wasi::Fields::new());
            let (body, stream) = respond(out);
            write(&stream, b"kept");
            finish(body, stream);
        }
        _ => {}
    }
    None
}

fn respond(out: wasi::ResponseOutparam) -> (wasi::OutgoingBody, OutputStream) {
    let response = wasi::OutgoingResponse::new(wasi::Fields::new());
    #[expect(clippy::expect_used, reason = "both are taken once")]
    let body = response.body().expect("it has a body");
    wasi::ResponseOutparam::set(out, Ok(response));
    #[expect(clippy::expect_used, reason = "both are taken once")]
    let stream = body.write().expect("it has a stream");
    (body, stream)
}

fn finish(body: wasi::OutgoingBody, stream: OutputStream) {
    drop(stream);
    let _gone = wasi::OutgoingBody::finish(body, None);
}

/// Writes all of it, as far as anybody reads.
fn write(stream: &OutputStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let Ok(permitted) = stream.check_write() else { return };
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(bytes.len().min(permitted as usize).min(CHUNK));
        if stream.write(now).is_err() {
            return;
        }
        bytes = later;
    }
}

fn stream(out: wasi::ResponseOutparam, mut size: usize) {
    let (body, stream) = respond(out);
    let chunk = vec![b'x'; CHUNK];
    while size > 0 {
        let now = size.min(CHUNK);
        write(&stream, &chunk[..now]);
        size -= now;
    }
    finish(body, stream);
}

fn pipe(request: wasi::IncomingRequest, out: wasi::ResponseOutparam) {
    let Ok(incoming) = request.consume() else { return };
    let Ok(from) = incoming.stream() else { return };
    let (body, to) = respond(out);
    loop {
        match from.blocking_read(CHUNK as u64) {
            Ok(bytes) => write(&to, &bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => super::probe::trap(),
        }
    }
    drop(from);
    drop(incoming);
    finish(body, to);
}
