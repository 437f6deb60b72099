//! A component that uses the drafts of WASI which the host offers: what a path names, it does.

#[cfg(target_arch = "wasm32")]
mod drafts {
    #![allow(unsafe_code, clippy::all, clippy::restriction, reason = "partly generated code")]

    wit_bindgen::generate!({
        inline: "
            package monopod:drafts;
            world drafts {
                import wasi:config/store@0.2.0-rc.1;
                import wasi:logging/logging@0.1.0-draft;
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
                import wasi:otel/tracing@0.2.0-rc.1;
            }
        ",
        world: "monopod:drafts/drafts",
        path: [
            "../../../wit/deps/io.wit",
            "../../../wit/deps/clocks.wit",
            "../../../wit/deps/config.wit",
            "../../../wit/deps/logging.wit",
            "../../../wit/deps/keyvalue.wit",
            "../../../wit/deps/otel.wit",
        ],
        generate_all,
    });

    use monopod_sdk::http::{Method, Problem, Request, Response};
    use wasi::clocks::wall_clock::Datetime;
    use wasi::keyvalue::store::{self, Bucket, Error};
    use wasi::keyvalue::{atomics, batch};
    use wasi::logging::logging::{Level, log};
    use wasi::otel::tracing;
    use wasi::otel::types::InstrumentationScope;

    struct Drafts;

    monopod_sdk::export!(Drafts: http);

    const BUCKET: &str = "numbers";

    fn open(name: &str) -> Result<Bucket, String> {
        store::open(name).map_err(said)
    }

    fn said(error: Error) -> String {
        match error {
            Error::NoSuchStore => "no such store".to_owned(),
            Error::AccessDenied => "access denied".to_owned(),
            Error::Other(why) => why,
        }
    }

    fn text(value: Option<Vec<u8>>) -> String {
        value.map_or("nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned())
    }

    /// All keys, however many pages they are.
    fn keys(bucket: &Bucket) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = bucket.list_keys(cursor).map_err(said)?;
            all.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    fn end_span(name: &str) {
        let context = tracing::current_span_context();
        tracing::on_start(&context);
        let at = |seconds, nanoseconds| Datetime { seconds, nanoseconds };
        tracing::on_end(&tracing::SpanData {
            span_context: context,
            parent_span_id: String::new(),
            span_kind: tracing::SpanKind::Internal,
            name: name.to_owned(),
            start_time: at(10, 0),
            end_time: at(10, 5_000_000),
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            status: tracing::Status::Error("as asked".to_owned()),
            instrumentation_scope: InstrumentationScope {
                name: "drafts".to_owned(),
                version: None,
                schema_url: None,
                attributes: Vec::new(),
            },
            dropped_attributes: 0,
            dropped_events: 0,
            dropped_links: 0,
        });
    }

    fn act(method: Method, segments: &[&str]) -> Result<String, String> {
        use wasi::config::store as config;
        match (method, segments) {
            (Method::Get, ["config", key]) => {
                Ok(config::get(key).ok().flatten().unwrap_or("nothing".to_owned()))
            }
            (Method::Get, ["config"]) => {
                let all = config::get_all().unwrap_or_default();
                Ok(all
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" "))
            }
            (Method::Post, ["log"]) => {
                log(Level::Warn, "orders", "two lines\nin one");
                Ok("logged".to_owned())
            }
            (Method::Get, ["trace"]) => {
                end_span("weigh");
                Ok(tracing::current_span_context().trace_id)
            }
            (Method::Get, ["open", name]) => open(name).map(|_| "opened".to_owned()),
            (Method::Post, ["count", key]) => {
                atomics::increment(&open(BUCKET)?, key, 2).map(|sum| sum.to_string()).map_err(said)
            }
            (Method::Post, ["count-then-fail", key]) => {
                atomics::increment(&open(BUCKET)?, key, 2).map_err(said)?;
                Err("as asked".to_owned())
            }
            (Method::Post, ["set", key, value]) => {
                let bucket = open(BUCKET)?;
                bucket.set(key, value.as_bytes()).map_err(said)?;
                // Seen by the call itself, before anybody else sees it.
                bucket.get(key).map(text).map_err(said)
            }
            (Method::Get, ["get", key]) => open(BUCKET)?.get(key).map(text).map_err(said),
            (Method::Get, ["exists", key]) => {
                open(BUCKET)?.exists(key).map(|there| there.to_string()).map_err(said)
            }
            (Method::Post, ["fill", prefix, many]) => {
                let many: u32 = many.parse().unwrap_or(0);
                let entries: Vec<_> = (0..many).map(|n| (format!("{prefix}{n:05}"), b"v".to_vec())).collect();
                batch::set_many(&open(BUCKET)?, &entries).map_err(said)?;
                Ok(many.to_string())
            }
            (Method::Post, ["remove", a, b]) => {
                let keys = [a.to_string(), b.to_string()];
                batch::delete_many(&open(BUCKET)?, &keys).map_err(said)?;
                let left = batch::get_many(&open(BUCKET)?, &keys).map_err(said)?;
                Ok(left.iter().flatten().count().to_string())
            }
            (Method::Get, ["keys"]) => {
                let keys = keys(&open(BUCKET)?)?;
                let ends = keys.first().zip(keys.last()).map(|(a, b)| format!(" {a} {b}"));
                Ok(format!("{}{}", keys.len(), ends.unwrap_or_default()))
            }
            _ => Err("no such path".to_owned()),
        }
    }

    impl monopod_sdk::Http for Drafts {
        fn handle(request: Request) -> Result<Response, Problem> {
            let path = request.path().to_owned();
            let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
            Ok(match act(request.method(), &segments) {
                Ok(answer) => Response::text(answer),
                Err(why) => {
                    let mut response = Response::text(why);
                    response.status = 500;
                    response
                }
            })
        }
    }
}
