//! An ordinary service for `wasi:http` 0.3, on the bindings of the `wasip3` crate: a greeting, an
//! echo that streams, and a rendezvous: `/meet` answers once a second request has come, so it
//! answers at all only if both are in one instance.

use std::cell::RefCell;
use std::task::{Poll, Waker};

use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

wasip3::http::service::export!(Service);

struct Service;

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        if matches!(request.get_method(), Method::Post) {
            return Ok(echo(request));
        }
        if request.get_path_with_query().is_some_and(|path| path.starts_with("/meet")) {
            meet().await;
            return Ok(text("met".to_owned()));
        }
        let greeted = std::env::var("GREETED").unwrap_or_else(|_| "nobody".to_owned());
        Ok(text(format!("hello from rust 0.3, {greeted}")))
    }
}

/// The body that came in, handed on while it comes.
fn echo(request: Request) -> Response {
    let (ended, result) = wit_future::new(|| Ok(()));
    drop(ended);
    let (body, trailers) = Request::consume_body(request, result);
    Response::new(Fields::new(), Some(body), trailers).0
}

fn text(text: String) -> Response {
    let (mut writer, body) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
    wit_bindgen::spawn_local(async move {
        writer.write_all(text.into_bytes()).await;
    });
    response
}

thread_local! {
    static WAITING: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// The first to come waits, the second wakes it.
async fn meet() {
    let mut came_first = false;
    std::future::poll_fn(|task| {
        WAITING.with_borrow_mut(|waiting| match (came_first, waiting.take()) {
            // Woken by the second, who took the waker away.
            (true, None) => Poll::Ready(()),
            (false, Some(first)) => {
                first.wake();
                Poll::Ready(())
            }
            (_, _) => {
                came_first = true;
                *waiting = Some(task.waker().clone());
                Poll::Pending
            }
        })
    })
    .await;
}
