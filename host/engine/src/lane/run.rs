//! A call while it runs: in the task that asked for it, or in the slow lane. Dropping it ends
//! the call, wherever it is.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use monopod_core::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::task::{Moved, Task};
use super::{HERE, Line, OUTLIVED};

/// A panic, on its way to whoever waits.
type Panic = Box<dyn Any + Send>;

pub(crate) struct Run<T> {
    line: Arc<Line>,
    at: At<T>,
}

enum At<T> {
    /// Not polled yet.
    New(BoxFuture<'static, T>),
    /// In the task that polls this.
    Here(BoxFuture<'static, T>),
    /// In the slow lane.
    There {
        result: oneshot::Receiver<Result<T, Panic>>,
        _ends_it: Moved,
    },
    Done,
}

impl<T: Send + 'static> Run<T> {
    pub(crate) fn new(line: &Arc<Line>, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { line: line.clone(), at: At::New(Box::pin(work)) }
    }

    /// Hands the call to the slow lane. `slow`: it is known to have taken longer than a tick.
    fn go(&mut self, runtime: Handle, slow: bool) {
        let (At::New(work) | At::Here(work)) = std::mem::replace(&mut self.at, At::Done) else { return };
        let (send, receive) = oneshot::channel();
        let work = async move {
            let result = AssertUnwindSafe(work).catch_unwind().await;
            // Nobody waits any more: then it was cancelled in the same moment.
            let _ = send.send(result);
        };
        let task = Task::start(Box::pin(work), &self.line, runtime, slow);
        self.at = At::There { result: receive, _ends_it: task };
    }
}

impl<T: Send + 'static> Future for Run<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        if matches!(this.at, At::New(_)) {
            // One that is called from the slow lane is there already.
            if this.line.starts_slow()
                && !HERE.get()
                && let Ok(runtime) = Handle::try_current()
            {
                this.go(runtime, false);
            } else if let At::New(work) = std::mem::replace(&mut this.at, At::Done) {
                this.at = At::Here(work);
            }
        }
        if let At::Here(work) = &mut this.at {
            // Calls nest: what the inner one says of itself is not about the outer one.
            let outer = OUTLIVED.replace(false);
            let polled = work.as_mut().poll(cx);
            let outlived = OUTLIVED.replace(outer);
            if let Poll::Ready(value) = polled {
                this.at = At::Done;
                this.line.was_quick();
                return Poll::Ready(value);
            }
            if !outlived {
                return Poll::Pending;
            }
            // Without a runtime there is nothing to go back to; it goes on in its turn here.
            let Ok(runtime) = Handle::try_current() else { return Poll::Pending };
            this.line.was_slow();
            this.go(runtime, true);
        }
        let At::There { result, .. } = &mut this.at else {
            // Only a future that is polled after its end gets here; it stays at its end.
            return Poll::Pending;
        };
        let result = ready!(Pin::new(result).poll(cx));
        this.at = At::Done;
        match result {
            Ok(Ok(value)) => Poll::Ready(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => resume_unwind(Box::new("the engine ended before the call")),
        }
    }
}
