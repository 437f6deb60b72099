//! A component that misbehaves on request: what a path names, it does. The engine's tests
//! call it to see what the caller gets, what remains, and that neighbours are unharmed.

#[cfg(target_arch = "wasm32")]
mod greedy;

#[cfg(target_arch = "wasm32")]
mod raw;
#[cfg(target_arch = "wasm32")]
mod streams;

#[cfg(target_arch = "wasm32")]
mod probe {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use monopod_sdk::graph::{Answers, Field, Refusal, Value};
    use monopod_sdk::http::{Method, Problem, Request, Response};
    use monopod_sdk::ports::{
        Buckets, Fetch, Identity, Outgoing, Principal, Publisher, Range, Services, Timers, Web,
    };
    use monopod_sdk::{Failure, Host, Message, Timer};

    pub(crate) struct Probe;

    // Requests come by way of `raw`.
    monopod_sdk::export!(Probe: messages, timers, fields);

    /// How many calls this instance has counted.
    static REMEMBERED: AtomicU32 = AtomicU32::new(0);

    const BUCKET: &str = "counters";

    /// Reads, adds one, writes: two at once conflict.
    fn count(key: &str) -> Result<u64, monopod_sdk::ports::Error> {
        let before = Host.get_json::<u64>(BUCKET, key)?.unwrap_or(0);
        Host.set_json(BUCKET, key, &(before + 1))?;
        Ok(before + 1)
    }

    #[expect(unconditional_recursion, reason = "this is what it is for")]
    fn recurse(n: u64) -> u64 {
        std::hint::black_box([n; 64]).iter().sum::<u64>() + recurse(n + 1)
    }

    #[expect(clippy::panic, reason = "this is what it is for")]
    pub fn trap() -> ! {
        panic!("asked to")
    }

    fn spin() -> ! {
        loop {
            std::hint::black_box(0);
        }
    }

    impl monopod_sdk::Fields for Probe {
        fn resolve(field: Field) -> Answers {
            match field.name.as_str() {
                // What it was given, as it was given.
                "given" => Ok(field.parents.iter().map(|_| Ok(Value::from(format!("{field:?}")))).collect()),
                // One for each parent, an error where it is odd.
                "double" => {
                    let double = |parent: &Vec<Value>| match parent.first().and_then(Value::as_integer) {
                        Some(n) if n % 2 == 1 => Err(Refusal::new("ODD", format!("{n} is odd"))),
                        Some(n) => Ok(Value::Integer(2 * n)),
                        None => Ok(Value::Null),
                    };
                    Ok(field.parents.iter().map(double).collect())
                }
                "count" => {
                    Ok(vec![Ok(Value::Integer(count("resolved").unwrap_or(0).try_into().unwrap_or(0)))])
                }
                "count-then-fail" => {
                    let _counted = count("resolved");
                    Err(Refusal::new("NO", "it was not to be"))
                }
                "too-few" => Ok(Vec::new()),
                "trap" => trap(),
                _ => Err(Refusal::new("UNKNOWN", format!("there is no field {}", field.name))),
            }
        }
    }

    impl monopod_sdk::Http for Probe {
        fn handle(request: Request) -> Result<Response, Problem> {
            let text = |value: String| Ok(Response::text(value));
            let path = request.path().to_owned();
            let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
            match (request.method(), segments.as_slice()) {
                (Method::Get, ["hello"]) => text("hello".into()),
                (Method::Get, ["spin"]) => spin(),
                (Method::Get, ["remember"]) => {
                    text((REMEMBERED.fetch_add(1, Ordering::Relaxed) + 1).to_string())
                }
                (Method::Get, ["burn", millis]) => {
                    let until = Instant::now() + Duration::from_millis(millis.parse().unwrap_or(0));
                    while Instant::now() < until {
                        std::hint::black_box(0);
                    }
                    text("burnt".into())
                }
                (Method::Get, ["burn-then-wait", millis]) => {
                    let time = Duration::from_millis(millis.parse().unwrap_or(0));
                    let until = Instant::now() + time;
                    while Instant::now() < until {
                        std::hint::black_box(0);
                    }
                    std::thread::sleep(time);
                    text(Host.get_json::<u64>(BUCKET, "nothing")?.unwrap_or(0).to_string())
                }
                (Method::Get, ["via", component, rest @ ..]) => {
                    let answer = Host.call(Method::Get, component, &format!("/{}", rest.join("/")), &[]);
                    text(answer.map_or_else(
                        |error| format!("stopped: {error}"),
                        |response| String::from_utf8_lossy(&response.body).into_owned(),
                    ))
                }
                (Method::Get, ["trap"]) => trap(),
                (Method::Get, ["recurse"]) => text(recurse(0).to_string()),
                (Method::Get, ["greedy", what, n]) => crate::greedy::run(what, n.parse().unwrap_or(0)),
                (Method::Get, ["wait"]) => {
                    std::thread::sleep(Duration::from_secs(3_600));
                    text("awake".into())
                }
                (Method::Get, ["grow"]) => {
                    let mut kept: Vec<Vec<u8>> = Vec::new();
                    loop {
                        let mut block = Vec::new();
                        if block.try_reserve_exact(1 << 20).is_err() {
                            return text(format!("{} MiB", kept.len()));
                        }
                        block.resize(1 << 20, 1);
                        kept.push(block);
                    }
                }
                (Method::Get, ["print"]) => {
                    for line in 0..100_000 {
                        println!("line {line} of very many");
                    }
                    text("printed".into())
                }
                (Method::Get, ["large", size]) => text("x".repeat(size.parse().unwrap_or(0))),
                (Method::Post, ["echo"]) => Ok(Response::text(request.body(usize::MAX)?.len().to_string())),
                (Method::Get, ["who"]) => match Host.caller() {
                    Principal::Anonymous => text("anonymous".into()),
                    Principal::System => text("system".into()),
                    Principal::User(user) => text(format!("{} {}", user.issuer, user.subject)),
                },
                (Method::Post, ["count", key]) => text(count(key)?.to_string()),
                (Method::Post, ["count-read", key]) => {
                    // Read first: the request is what is to be there again.
                    let read = u64::try_from(request.body(usize::MAX)?.len()).unwrap_or(0);
                    let before = Host.get_json::<u64>(BUCKET, key)?.unwrap_or(0);
                    Host.set_json(BUCKET, key, &(before + read))?;
                    text("counted".into())
                }
                (Method::Get, ["count", key]) => {
                    text(Host.get_json::<u64>(BUCKET, key)?.unwrap_or(0).to_string())
                }
                (Method::Post, ["count-twice", key]) => {
                    count(key)?;
                    text(count(key)?.to_string())
                }
                (Method::Post, ["count-then-trap", key]) => {
                    count(key)?;
                    trap()
                }
                (Method::Post, ["count-then-fail", key]) => {
                    count(key)?;
                    let mut response = Response::text("failed");
                    response.status = 503;
                    Ok(response)
                }
                (Method::Post, ["publish", key]) => {
                    Host.publish(&Outgoing::json("probe.out", key, &"published")?)?;
                    text("published".into())
                }
                (Method::Post, ["timer", name]) => {
                    Host.set_timer(name, Duration::from_millis(1), b"payload")?;
                    text("set".into())
                }
                (Method::Post, ["flood"]) => {
                    for n in 0..100_000 {
                        if let Err(error) = Host.set(BUCKET, &format!("flood-{n:06}"), b"x") {
                            return text(format!("{n}: {error}"));
                        }
                    }
                    text("no limit".into())
                }
                (Method::Post, ["flood", what]) => {
                    for n in 0..100_000 {
                        let done = match *what {
                            "timers" => Host.set_timer(&format!("flood-{n}"), Duration::from_secs(60), b"x"),
                            _ => Host.publish(&Outgoing::json("probe.out", "key", &n)?).map(drop),
                        };
                        if let Err(error) = done {
                            return text(format!("{n}: {error}"));
                        }
                    }
                    text("no limit".into())
                }
                // Writes, and then keeps its unit open for ever.
                (Method::Post, ["hold", key]) => {
                    count(key)?;
                    std::thread::sleep(Duration::from_secs(3_600));
                    text("held".into())
                }
                (Method::Get, ["scan"]) => {
                    let range = Range { prefix: "scan-", after: None, descending: true, limit: 2 };
                    Host.set(BUCKET, "scan-b", b"own")?;
                    Host.delete(BUCKET, "scan-c")?;
                    let entries = Host.scan(BUCKET, range)?;
                    text(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>().join(" "))
                }
                (Method::Post, ["set-for", key, millis]) => {
                    let ttl = Duration::from_millis(millis.parse().unwrap_or(0));
                    Host.set_for(BUCKET, key, &request.body(usize::MAX)?, ttl)?;
                    text("set".into())
                }
                (Method::Get, ["versioned", key]) => match Host.get_versioned(BUCKET, key)? {
                    Some((version, value)) => text(format!("{version} {}", String::from_utf8_lossy(&value))),
                    None => text("none".into()),
                },
                (Method::Post, ["compare", key, version]) => {
                    let value = request.body(usize::MAX)?;
                    let value = (!value.is_empty()).then_some(&value[..]);
                    text(Host.compare_and_set(BUCKET, key, version.parse().ok(), value)?.to_string())
                }
                (Method::Post, ["compare-own", key]) => {
                    Host.set(BUCKET, key, b"own")?;
                    let refused = Host.compare_and_set(BUCKET, key, None, Some(b"x"));
                    text(refused.map_or_else(|error| error.to_string(), |done| done.to_string()))
                }
                (Method::Post, ["set", key]) => {
                    Host.set(BUCKET, key, &request.body(usize::MAX)?)?;
                    text("set".into())
                }
                (Method::Get, ["circle"]) => {
                    let answer = Host.call(Method::Get, "probe", "/circle", &[]);
                    text(answer.map_or_else(
                        |error| format!("stopped: {error}"),
                        |response| String::from_utf8_lossy(&response.body).into_owned(),
                    ))
                }
                // The request's body is the address; the answer is what came of it.
                (_, ["fetch", retries]) => {
                    let url = request.body(usize::MAX)?;
                    let fetch = Fetch {
                        method: Method::Get,
                        url: &String::from_utf8_lossy(&url),
                        headers: &[("authorization", "Bearer own")],
                        body: &[],
                        retries: retries.parse().unwrap_or(0),
                        limit: 4 << 20,
                    };
                    let response = match Host.fetch(&fetch) {
                        Ok(response) => response,
                        Err(error) => return text(format!("error: {error}")),
                    };
                    let location = response.headers.iter().find(|(name, _)| name == "location");
                    let location = location.map(|(_, value)| format!(" {value}")).unwrap_or_default();
                    let body = String::from_utf8_lossy(&response.body).into_owned();
                    text(format!("{}{location} {body}", response.status))
                }
                (Method::Get, ["denied", what]) => {
                    let refused = match *what {
                        "bucket" => Host.get("secrets", "key").map(|_| ()),
                        "topic" => Host.publish(&Outgoing::json("tu.secret", "k", &1)?).map(|_| ()),
                        "call" => Host.call(Method::Get, "stranger", "/", &[]).map(|_| ()),
                        _ => return Err(Problem::no_route(&request)),
                    };
                    text(refused.map_or_else(|error| error.to_string(), |()| "allowed".into()))
                }
                _ => Err(Problem::no_route(&request)),
            }
        }
    }

    impl monopod_sdk::Messages for Probe {
        fn handle(message: Message) -> Result<(), Failure> {
            count(&message.id)?;
            match message.payload.as_slice() {
                b"retry" => Err(Failure::Retry { after: None, reason: "asked to".into() }),
                b"reject" => Err(Failure::Reject("asked to".into())),
                b"trap" => trap(),
                b"spin" => spin(),
                _ => Ok(()),
            }
        }
    }

    impl monopod_sdk::TimerEvents for Probe {
        fn fire(timer: Timer) -> Result<(), Failure> {
            count(&timer.name)?;
            Ok(())
        }
    }
}
