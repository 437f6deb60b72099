//! A connection's bytes: TLS or the bare socket below, hyper above.
//!
//! Adds three things to the stream: the connection's place among the permitted number,
//! which an upgraded WebSocket therefore keeps; its pulse; and a close that does not
//! reset an answer away while the client is still sending a body nobody reads.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use crate::limits::{LINGER, LINGER_SIZE};
use crate::pulse::Pulse;

/// How much of an unread body is dropped at a time.
const SCRATCH: usize = 16 << 10;

/// What bytes come by. The larger one is boxed: one for each connection.
pub(crate) enum Stream {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

impl Stream {
    /// The socket below.
    fn bare(&mut self) -> &mut TcpStream {
        match self {
            Self::Tls(stream) => stream.get_mut().0,
            Self::Plain(stream) => stream,
        }
    }
}

/// The same call for both kinds.
macro_rules! stream {
    ($socket:expr, $stream:ident => $call:expr) => {
        match &mut $socket.stream {
            Stream::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $call
            }
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

pub(crate) struct Socket {
    stream: Stream,
    pulse: Arc<Pulse>,
    closing: Closing,
    _place: OwnedSemaphorePermit,
}

enum Closing {
    No,
    /// Our side is closed; so many bytes of theirs may still come, until then.
    Linger(usize, Pin<Box<Sleep>>),
    Done,
}

impl Socket {
    pub(crate) fn new(stream: Stream, pulse: Arc<Pulse>, place: OwnedSemaphorePermit) -> Self {
        Self { stream, pulse, closing: Closing::No, _place: place }
    }

    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.pulse.takes(result.is_ready());
        result
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(stream!(self, stream => stream.poll_read(cx, buf)))?;
        if buf.filled().len() > before {
            self.pulse.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = stream!(self, stream => stream.poll_write(cx, buf));
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = stream!(self, stream => stream.poll_write_vectored(cx, bufs));
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Plain(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = stream!(self, stream => stream.poll_flush(cx));
        self.wrote(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::No => {
                    ready!(stream!(this, stream => stream.poll_shutdown(cx)))?;
                    this.closing = if this.pulse.unread() {
                        Closing::Linger(LINGER_SIZE, Box::pin(tokio::time::sleep(LINGER)))
                    } else {
                        Closing::Done
                    };
                }
                // Closing a socket with bytes unread in it sends a reset, which can
                // overtake the answer on its way: RFC 9112, section 9.6.
                Closing::Linger(left, until) => {
                    let mut scratch = [const { std::mem::MaybeUninit::uninit() }; SCRATCH];
                    let mut scratch = ReadBuf::uninit(&mut scratch);
                    let over = match Pin::new(this.stream.bare()).poll_read(cx, &mut scratch) {
                        Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                            *left = left.saturating_sub(scratch.filled().len());
                            *left == 0
                        }
                        Poll::Ready(_) => true,
                        Poll::Pending => {
                            ready!(until.as_mut().poll(cx));
                            true
                        }
                    };
                    if over {
                        this.closing = Closing::Done;
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
