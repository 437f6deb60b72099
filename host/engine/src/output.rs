//! What a guest prints becomes log lines with its name, correlation and trace.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use monopod_core::context::{Context, CorrelationId, TraceId};
use monopod_core::limit::{Limit, OUTPUT};
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError};

use crate::load::Loaded;

/// A longer line is cut into several.
const MAX_LINE: usize = 4 << 10;

#[derive(Clone)]
pub(crate) struct Output {
    // Made on first use: most invocations print nothing.
    inner: Arc<Inner>,
}

struct Inner {
    loaded: Arc<Loaded>,
    stream: &'static str,
    buffer: Mutex<Buffer>,
}

struct Buffer {
    /// The call whose output it is.
    correlation: CorrelationId,
    trace: TraceId,
    line: Vec<u8>,
    printed: usize,
}

impl Output {
    pub(crate) fn new(loaded: Arc<Loaded>, context: &Context, stream: &'static str) -> Self {
        Self {
            inner: Arc::new(Inner {
                loaded,
                stream,
                buffer: Mutex::new(Buffer {
                    correlation: context.correlation.clone(),
                    trace: context.trace,
                    line: Vec::new(),
                    printed: 0,
                }),
            }),
        }
    }

    /// What is printed from now on belongs to this call.
    pub(crate) fn begin(&self, context: &Context) {
        if let Ok(mut buffer) = self.inner.buffer.lock() {
            buffer.correlation = context.correlation.clone();
            buffer.trace = context.trace;
            buffer.printed = 0;
        }
    }

    /// The call ends: what it left of a line is one.
    pub(crate) fn end(&self) {
        if let Ok(mut buffer) = self.inner.buffer.lock() {
            self.inner.emit(&mut buffer);
        }
    }

    /// How many of its streams the guest holds; the instance itself has two handles.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.inner).saturating_sub(2)
    }
}

/// Standard input: there is none.
#[derive(Clone, Default)]
pub(crate) struct Input(Arc<()>);

impl Input {
    /// How many of its streams the guest holds; the instance itself has two handles.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.0).saturating_sub(2)
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl InputStream for Input {
    fn read(&mut self, _: usize) -> Result<Bytes, StreamError> {
        Err(StreamError::Closed)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {}
}

impl Output {
    /// Takes what was printed; whole lines of it are logged at once.
    pub(crate) fn print(&self, bytes: &[u8]) {
        self.inner.write(bytes);
    }
}

impl Inner {
    fn write(&self, bytes: &[u8]) {
        let Ok(mut buffer) = self.buffer.lock() else { return };
        let most = OUTPUT.as_usize();
        let before = buffer.printed;
        buffer.printed = before.saturating_add(bytes.len());
        if before >= most {
            return;
        }
        for chunk in bytes.split_inclusive(|b| *b == b'\n') {
            buffer.line.extend_from_slice(chunk);
            if chunk.ends_with(b"\n") || buffer.line.len() >= MAX_LINE {
                self.emit(&mut buffer);
            }
        }
        if buffer.printed >= most {
            self.emit(&mut buffer);
            self.loaded.account.hit(Limit::Output);
            if self.loaded.may_log(0) {
                tracing::warn!(component = %self.loaded.component.name, correlation = %buffer.correlation, trace = %buffer.trace,
                    limit = %OUTPUT, "the component printed too much; the rest of this call's output is dropped");
            }
        }
    }

    fn emit(&self, buffer: &mut Buffer) {
        let Buffer { line, correlation, trace, .. } = buffer;
        let text = String::from_utf8_lossy(line);
        let (level, text) = level(text.trim_end());
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(component = %self.loaded.component.name, correlation = %correlation, trace = %trace,
                    stream = self.stream, "{text}")
            };
        }
        match level {
            _ if text.is_empty() => {}
            _ if !self.loaded.may_log(text.len()) => {}
            Level::Error => log!(error),
            Level::Warn => log!(warn),
            Level::Debug => log!(debug),
            Level::Info => log!(info),
        }
        line.clear();
    }
}

enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// The level that a line begins with, as in `warn: the queue is long`, and the rest of it.
fn level(line: &str) -> (Level, &str) {
    for (word, level) in [
        ("error: ", Level::Error),
        ("warn: ", Level::Warn),
        ("info: ", Level::Info),
        ("debug: ", Level::Debug),
    ] {
        if let Some(text) = line.strip_prefix(word) {
            return (level, text);
        }
    }
    (Level::Info, line)
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(mut buffer) = self.buffer.lock() {
            self.emit(&mut buffer);
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        // Writing never waits, so no task stands between, as the default would have it.
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.inner.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(MAX_LINE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
