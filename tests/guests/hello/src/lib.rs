//! Says hello, gives so many bytes, or asks another component for them.

#[cfg(target_arch = "wasm32")]
mod hello {
    use monopod_sdk::Host;
    use monopod_sdk::http::{Method, Problem, Request, Response};
    use monopod_sdk::ports::Services;

    struct Hello;

    monopod_sdk::export!(Hello: http);

    impl monopod_sdk::Http for Hello {
        fn handle(request: Request) -> Result<Response, Problem> {
            // Under whichever prefix it is exposed.
            let (rest, last) = request.path().rsplit_once('/').unwrap_or_default();
            if last == "hello" {
                return Ok(Response::new(200, "text/plain", &b"Hello, World!"[..]));
            }
            let Ok(number) = last.parse::<usize>() else { return Err(Problem::no_route(&request)) };
            if rest.ends_with("/bytes") {
                return Ok(Response::new(200, "application/octet-stream", vec![b'x'; number]));
            }
            // What it takes to ask shows in what it takes to ask so often.
            for _ in 0..number {
                if Host.call(Method::Get, "callee", "/bytes/1024", &[])?.body.len() != 1_024 {
                    return Err(Problem::unavailable("The callee gave too little."));
                }
            }
            Ok(Response::new(200, "text/plain", &b"asked"[..]))
        }
    }
}
