//! Between the generated bindings and the component's traits: turns what the host hands over
//! into requests, messages, timers and fields, and what the component returns back. Called by the
//! `export!` macro only.

use std::borrow::Cow;
use std::time::Duration;

use crate::bindings::imports::monopod::messaging::types as messaging;
use crate::bindings::imports::wasi::cli::stderr::get_stderr;
use crate::bindings::imports::wasi::http::types as wasi;
use crate::bindings::imports::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::bindings::{field_resolver, function as wit, timer_handler};
use crate::graph;
use crate::http::{Method, Problem, Request, Response};
use crate::ports::{Failure, Message, Millis, Timer};

/// Asked for at once when a body is read: most are smaller, and arrive in one piece.
const CHUNK: u64 = 64 * 1024;

/// Answers one request with `C`.
pub fn http<C: crate::Http>(request: wasi::IncomingRequest, out: wasi::ResponseOutparam) {
    let method = match request.method() {
        wasi::Method::Get => Method::Get,
        wasi::Method::Post => Method::Post,
        wasi::Method::Head => Method::Head,
        wasi::Method::Put => Method::Put,
        wasi::Method::Patch => Method::Patch,
        wasi::Method::Delete => Method::Delete,
        wasi::Method::Options => Method::Options,
        _ => Method::Other,
    };
    let target = request.path_with_query().unwrap_or_default();
    let response = match C::handle(Request::incoming(method, target, Incoming(request))) {
        Ok(response) => response,
        Err(problem) => problem.into(),
    };
    respond(response, out);
}

/// Answers one call with `C`.
pub fn function<C: crate::Function>(call: wit::Call) -> Result<Vec<u8>, wit::Error> {
    C::handle(&call.name, call.body).map_err(|problem| match problem {
        Problem::Fields(fields) => wit::Error::Fields(
            fields.0.into_iter().map(|(name, wrong)| wit::Field { name: name.into(), wrong }).collect(),
        ),
        Problem::Status { status, code, error } => {
            let kind = match status {
                400 => wit::Kind::Invalid,
                401 | 403 => wit::Kind::Denied,
                404 => wit::Kind::NotFound,
                409 => wit::Kind::Conflict,
                413 => wit::Kind::TooLarge,
                503 => wit::Kind::Unavailable,
                _ => wit::Kind::Other,
            };
            wit::Error::Problem(wit::Problem { kind, code: code.into(), text: error })
        }
    })
}

/// Handles one message with `C`.
pub fn message<C: crate::Messages>(message: messaging::Message) -> messaging::Outcome {
    outcome(C::handle(Message {
        id: message.id,
        topic: message.topic,
        key: message.key,
        headers: message.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        payload: message.payload,
        correlation_id: message.correlation_id,
        published_at: Millis(message.published_at),
        attempt: message.attempt,
    }))
}

/// Fires one timer of `C`.
pub fn timer<C: crate::TimerEvents>(timer: timer_handler::Timer) -> messaging::Outcome {
    outcome(C::fire(Timer {
        name: timer.name,
        payload: timer.payload,
        correlation_id: timer.correlation_id,
        due_at: Millis(timer.due_at),
        attempt: timer.attempt,
    }))
}

/// Answers a field with `C`.
pub fn fields<C: crate::Fields>(
    field: field_resolver::Field,
) -> Result<Vec<Result<field_resolver::Value, field_resolver::Problem>>, field_resolver::Problem> {
    let values = |values: Vec<_>| values.into_iter().map(value).collect();
    let answers = C::resolve(graph::Field {
        parent_type: field.parent_type,
        name: field.name,
        arguments: field.arguments.into_iter().map(|each| (each.name, value(each.value))).collect(),
        parents: field.parents.into_iter().map(values).collect(),
        selected: field.selected,
    });
    let problem =
        |refusal: graph::Refusal| field_resolver::Problem { message: refusal.message, code: refusal.code };
    let answers = answers.map_err(problem)?;
    Ok(answers.into_iter().map(|each| each.map(wire).map_err(problem)).collect())
}

fn value(value: field_resolver::Value) -> graph::Value {
    match value {
        field_resolver::Value::Null => graph::Value::Null,
        field_resolver::Value::Boolean(value) => graph::Value::Boolean(value),
        field_resolver::Value::Integer(value) => graph::Value::Integer(value),
        field_resolver::Value::Float(value) => graph::Value::Float(value),
        field_resolver::Value::Text(text) => graph::Value::Text(text),
        field_resolver::Value::Json(text) => graph::Value::Json(text),
    }
}

fn wire(value: graph::Value) -> field_resolver::Value {
    match value {
        graph::Value::Null => field_resolver::Value::Null,
        graph::Value::Boolean(value) => field_resolver::Value::Boolean(value),
        graph::Value::Integer(value) => field_resolver::Value::Integer(value),
        graph::Value::Float(value) => field_resolver::Value::Float(value),
        graph::Value::Text(text) => field_resolver::Value::Text(text),
        graph::Value::Json(text) => field_resolver::Value::Json(text),
    }
}

fn outcome(result: Result<(), Failure>) -> messaging::Outcome {
    match result {
        Ok(()) => messaging::Outcome::Done,
        Err(Failure::Retry { after, reason }) => {
            let millis = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            messaging::Outcome::Retry(messaging::Retry { after: after.map(millis), reason })
        }
        Err(Failure::Reject(reason)) => messaging::Outcome::Reject(reason),
    }
}

/// The host's side of a request.
#[derive(Debug)]
pub struct Incoming(wasi::IncomingRequest);

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = self.0.headers().get(name).into_iter().next()?;
        String::from_utf8(value).ok()
    }

    pub(crate) fn body(self, limit: usize) -> Result<Vec<u8>, Problem> {
        let broken = || Problem::bad_request("The body ended before it was complete.");
        let body = self.0.consume().map_err(|()| broken())?;
        let stream = body.stream().map_err(|()| broken())?;
        match read(&stream, limit) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Problem::too_large(limit)),
            Err(_) => Err(broken()),
        }
    }
}

/// Reads a stream to its end; `None` if there is more than `limit`.
pub(crate) fn read(stream: &InputStream, limit: usize) -> Result<Option<Vec<u8>>, StreamError> {
    let mut whole = Vec::new();
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(chunk) if whole.is_empty() => whole = chunk,
            Ok(chunk) => whole.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(Some(whole)),
            Err(error) => return Err(error),
        }
        if whole.len() > limit {
            return Ok(None);
        }
    }
}

/// Writes all bytes. A write that fits is taken by the host at once, without waiting for the
/// reader: the invocation then ends in the tick in which it began.
pub(crate) fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let permitted = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(permitted.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}

fn respond(response: Response, out: wasi::ResponseOutparam) {
    let Response { status, headers, body } = response;
    let mut entries: Vec<(String, Vec<u8>)> = Vec::with_capacity(headers.len() + 1);
    let bytes = |value: Cow<'static, str>| value.into_owned().into_bytes();
    entries.extend(headers.into_iter().map(|(name, value)| (name.into_owned(), bytes(value))));
    // RFC 9110, section 8.6: these have no body, and so no length of one.
    if !matches!(status, 204 | 304) {
        entries.push(("content-length".into(), body.len().to_string().into_bytes()));
    }
    let made = wasi::Fields::from_list(&entries)
        .map_err(|error| wasi::ErrorCode::InternalError(Some(error.to_string())))
        .and_then(|fields| {
            let made = wasi::OutgoingResponse::new(fields);
            if status != 200 && made.set_status_code(status).is_err() {
                return Err(wasi::ErrorCode::InternalError(Some(format!("status {status}"))));
            }
            Ok(made)
        });
    let made = match made {
        Ok(made) => made,
        Err(error) => return wasi::ResponseOutparam::set(out, Err(error)),
    };
    // The body is taken out before the response is handed over; it is taken once, so it is there.
    let outgoing = made.body();
    wasi::ResponseOutparam::set(out, Ok(made));
    if let Ok(outgoing) = outgoing {
        // A client that went away is nobody's fault: what was done stays done.
        let _gone = finish(outgoing, &body);
    }
}

/// A line for the operator.
pub(crate) fn log(level: &str, text: &str) {
    // A log that cannot be written must not fail the call.
    let _lost = write(&get_stderr(), format!("{level}: {text}\n").as_bytes());
}

/// Writes and finishes a body.
pub(crate) fn finish(outgoing: wasi::OutgoingBody, bytes: &[u8]) -> Result<(), wasi::ErrorCode> {
    if !bytes.is_empty()
        && let Ok(stream) = outgoing.write()
    {
        write(&stream, bytes).map_err(|error| wasi::ErrorCode::InternalError(Some(error.to_string())))?;
    }
    wasi::OutgoingBody::finish(outgoing, None)
}
