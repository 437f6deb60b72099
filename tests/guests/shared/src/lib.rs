//! A component of WASI 0.3 that several calls share at once: what a path names, it does. Calls wait
//! for each other, so that a test sees by their answers that they overlapped.

#[cfg(target_arch = "wasm32")]
mod shared {
    #![allow(unsafe_code, clippy::all, clippy::restriction, reason = "partly generated code")]

    use std::cell::{Cell, RefCell};
    use std::task::{Poll, Waker};

    use wasip3::clocks::monotonic_clock;
    use wasip3::http::types::{ErrorCode, Fields, Request, Response};
    use wasip3::{wit_future, wit_stream};

    mod monopod {
        wit_bindgen::generate!({
            inline: "
                package monopod:shared;
                world shared {
                    import monopod:identity/caller@0.1.0;
                    import monopod:state/buckets@0.1.0;
                }
            ",
            world: "monopod:shared/shared",
            path: ["../../../wit/identity", "../../../wit/state"],
            generate_all,
        });
    }

    use monopod::monopod::identity::caller::{self, Principal};
    use monopod::monopod::state::buckets;

    wasip3::http::service::export!(Shared);

    struct Shared;

    const BUCKET: &str = "counters";

    thread_local! {
        static SERVED: Cell<u32> = const { Cell::new(0) };
        /// Who has come to the meeting that is being held, and waits.
        static MET: Cell<u32> = const { Cell::new(0) };
        static OPEN: Cell<bool> = const { Cell::new(false) };
        static WRITTEN: Cell<usize> = const { Cell::new(0) };
        static SAID: RefCell<String> = const { RefCell::new(String::new()) };
        static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    }

    /// Waits until what others do makes it true.
    async fn until(holds: impl Fn() -> bool) {
        std::future::poll_fn(|task| {
            if holds() {
                return Poll::Ready(());
            }
            WAITING.with_borrow_mut(|waiting| waiting.push(task.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn changed() {
        WAITING.take().into_iter().for_each(Waker::wake);
    }

    /// Returns once `all` calls are here at the same time.
    async fn meet(all: u32) {
        MET.set(MET.get() + 1);
        changed();
        until(|| MET.get() >= all).await;
    }

    fn who() -> String {
        match caller::current() {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::System => "system".to_owned(),
            Principal::User(user) => user.subject,
        }
    }

    fn set(key: &str, value: &str) -> String {
        match buckets::set(BUCKET, key, value.as_bytes()) {
            Ok(()) => "set".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    fn get(key: &str) -> String {
        match buckets::get(BUCKET, key) {
            Ok(Some(value)) => String::from_utf8_lossy(&value).into_owned(),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    fn spin() -> ! {
        loop {
            std::hint::black_box(0);
        }
    }

    /// A response with what `write` writes after it was set.
    fn writing<F: Future<Output = ()> + 'static>(
        write: impl FnOnce(wasip3::wit_bindgen::StreamWriter<u8>) -> F,
    ) -> Response {
        let (writer, body) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
        wasip3::wit_bindgen::spawn_local(write(writer));
        response
    }

    fn text(text: String) -> Response {
        writing(async move |mut writer| {
            writer.write_all(text.into_bytes()).await;
        })
    }

    fn trailers() -> Response {
        let (mut writer, body) = wit_stream::new();
        let (trailer, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
        wasip3::wit_bindgen::spawn_local(async move {
            writer.write_all(b"body".to_vec()).await;
            drop(writer);
            let fields = Fields::from_list(&[("x-sum".to_owned(), b"4".to_vec())]);
            let _ = trailer.write(fields.map(Some).map_err(|_| ErrorCode::InternalError(None))).await;
        });
        response
    }

    /// Writes for as long as somebody reads, `most` bytes at most.
    fn stream(most: usize) -> Response {
        writing(async move |mut writer| {
            while WRITTEN.get() < most {
                if !writer.write_all(vec![b'x'; 64 << 10]).await.is_empty() {
                    return;
                }
                WRITTEN.set(WRITTEN.get() + (64 << 10));
            }
        })
    }

    impl wasip3::exports::http::handler::Guest for Shared {
        async fn handle(request: Request) -> Result<Response, ErrorCode> {
            SERVED.set(SERVED.get() + 1);
            let path = request.get_path_with_query().unwrap_or_default();
            let path: Vec<&str> = path.split('/').skip(1).collect();
            let number = |text: &str| text.parse().unwrap_or(0);
            Ok(match path[..] {
                ["hello"] => text("hello".to_owned()),
                ["remember"] => text(SERVED.get().to_string()),
                ["meet", all] => {
                    meet(number(all)).await;
                    text(format!("met {}", MET.get()))
                }
                // Writes, meets, and says who it is then.
                ["claim", key, all] => {
                    let before = who();
                    set(key, &before);
                    meet(number(all)).await;
                    println!("claimed");
                    text(format!("{before} {} {} {}", who(), get("a"), get("b")))
                }
                ["claim-then-fail", key, all] => {
                    set(key, &who());
                    meet(number(all)).await;
                    let response = text("failed".to_owned());
                    let _ = response.set_status_code(500);
                    response
                }
                ["count", key] => {
                    let count = get(key).parse::<u64>().unwrap_or(0) + 1;
                    // Others go on meanwhile.
                    monotonic_clock::wait_for(1_000_000).await;
                    set(key, &count.to_string());
                    text(count.to_string())
                }
                ["read", key] => text(get(key)),
                ["pause", all, millis] => {
                    meet(number(all)).await;
                    monotonic_clock::wait_for(u64::from(number(millis)) * 1_000_000).await;
                    text("paused".to_owned())
                }
                ["wait", all] => {
                    meet(number(all)).await;
                    until(|| false).await;
                    text(String::new())
                }
                ["trap", all] => {
                    meet(number(all)).await;
                    std::process::abort()
                }
                ["spin", all] => {
                    meet(number(all)).await;
                    spin()
                }
                ["gate"] => writing(async move |mut writer| {
                    writer.write_all(b"first ".to_vec()).await;
                    until(|| OPEN.get()).await;
                    writer.write_all(b"second".to_vec()).await;
                }),
                ["open"] => {
                    OPEN.set(true);
                    changed();
                    text("open".to_owned())
                }
                ["trailers"] => trailers(),
                ["stream", bytes] => stream(bytes.parse().unwrap_or(0)),
                ["endless"] => stream(usize::MAX),
                ["written"] => text(WRITTEN.get().to_string()),
                // Changes state when its response is over.
                ["late"] => writing(async move |mut writer| {
                    writer.write_all(b"done".to_vec()).await;
                    drop(writer);
                    until(|| OPEN.get()).await;
                    SAID.set(format!("{} {}", who(), set("late", "late")));
                    changed();
                }),
                ["late-said"] => {
                    until(|| SAID.with_borrow(|said| !said.is_empty())).await;
                    text(SAID.with_borrow(String::clone))
                }
                _ => {
                    let response = text("no such path".to_owned());
                    let _ = response.set_status_code(404);
                    response
                }
            })
        }
    }
}
