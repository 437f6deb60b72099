//! Connects the service to the platform.

use monopod_sdk::{Host, Http, Problem, Request, Response};

struct Storage;

impl Http for Storage {
    fn handle(request: Request) -> Result<Response, Problem> {
        crate::answer(&Host, request)
    }
}

monopod_sdk::export!(Storage: http);
