//! Connects the service to the platform.

use monopod_sdk::{Host, Http, Problem, Request, Response};

struct Ingestion;

impl Http for Ingestion {
    fn handle(request: Request) -> Result<Response, Problem> {
        crate::answer(&Host, request)
    }
}

monopod_sdk::export!(Ingestion: http);
