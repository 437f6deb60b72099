//! Requests that a component sends, to other components and to servers outside: both are
//! `wasi:http`. Used by `host` only.

use std::borrow::Cow;

use crate::bindings::imports::wasi::http::outgoing_handler;
use crate::bindings::imports::wasi::http::types::{self as wasi, ErrorCode, Fields, Scheme};
use crate::http::{Method, Response};
use crate::shell;

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) scheme: Scheme,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: &'a [u8],
}

/// Why there is no whole answer.
pub(crate) enum Failed {
    /// The platform file does not grant it.
    Denied,
    /// The host's word for it.
    Code(ErrorCode),
    /// More than the caller wants.
    TooLarge,
    /// The answer broke off.
    Broken,
}

impl From<ErrorCode> for Failed {
    fn from(code: ErrorCode) -> Self {
        if matches!(code, ErrorCode::HttpRequestDenied) { Self::Denied } else { Self::Code(code) }
    }
}

/// Sends it, and reads an answer of at most `limit` bytes. With its headers if `headers`.
pub(crate) fn exchange(request: Request<'_>, limit: usize, headers: bool) -> Result<Response, Failed> {
    let body = request.body;
    let (request, outgoing) = prepare(request)?;
    let pending = outgoing_handler::handle(request, None)?;
    // A server may answer, and not read on: then its answer counts.
    let sent = shell::finish(outgoing, body);
    let response = loop {
        match pending.get() {
            Some(Ok(Ok(response))) => break response,
            Some(Ok(Err(code))) => return Err(code.into()),
            Some(Err(())) => return Err(Failed::Broken),
            None => pending.subscribe().block(),
        }
    };
    if response.status() < 400 {
        sent?;
    }
    read(response, limit, headers)
}

fn prepare(request: Request<'_>) -> Result<(wasi::OutgoingRequest, wasi::OutgoingBody), ErrorCode> {
    let Request { method, scheme, authority, path, mut headers, body } = request;
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    if !body.is_empty() {
        headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
    }
    let headers =
        Fields::from_list(&headers).map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let request = wasi::OutgoingRequest::new(headers);
    let method = match method {
        Method::Get => wasi::Method::Get,
        Method::Head => wasi::Method::Head,
        Method::Post => wasi::Method::Post,
        Method::Put => wasi::Method::Put,
        Method::Patch => wasi::Method::Patch,
        Method::Delete => wasi::Method::Delete,
        Method::Options => wasi::Method::Options,
        Method::Other => return Err(ErrorCode::HttpRequestMethodInvalid),
    };
    request.set_method(&method).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(path)).map_err(invalid)?;
    let outgoing = request.body().map_err(invalid)?;
    Ok((request, outgoing))
}

fn read(response: wasi::IncomingResponse, limit: usize, wanted: bool) -> Result<Response, Failed> {
    let broken = |()| Failed::Broken;
    let status = response.status();
    let mut headers = Vec::new();
    if wanted {
        for (name, value) in response.headers().entries() {
            headers.push((Cow::Owned(name), Cow::Owned(String::from_utf8_lossy(&value).into_owned())));
        }
    }
    let body = response.consume().map_err(broken)?;
    let stream = body.stream().map_err(broken)?;
    let bytes = shell::read(&stream, limit).map_err(|_| Failed::Broken)?;
    let bytes = bytes.ok_or(Failed::TooLarge)?;
    Ok(Response { status, headers, body: bytes.into() })
}
