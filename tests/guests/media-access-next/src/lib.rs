//! Version 0.2.0 of `media-access`, for the suites that upgrade a running platform: the same
//! schema, and other code, which answers with an address that the first version never gives.
//! A client sees by it which of the two has answered.

#[cfg(target_arch = "wasm32")]
mod guest {
    use monopod_sdk::http::{Method, Problem, Request, Response};

    struct MediaAccess;

    monopod_sdk::export!(MediaAccess: http);

    /// The largest request body, in bytes: one key.
    const MAX_BODY: usize = 4 * 1024;

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wanted {
        object_key: String,
    }

    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ImageUrl {
        url: String,
        expires_at: &'static str,
    }

    impl monopod_sdk::Http for MediaAccess {
        fn handle(request: Request) -> Result<Response, Problem> {
            match (request.method(), request.segments().as_slice()) {
                (Method::Post, ["internal", "v0", "media", "get-url"]) => {
                    let Wanted { object_key } = request.json(MAX_BODY)?;
                    let url = format!("https://next.invalid/{object_key}");
                    Ok(Response::json(200, &ImageUrl { url, expires_at: "2099-12-31T23:59:59Z" }))
                }
                _ => Err(Problem::no_route(&request)),
            }
        }
    }
}
