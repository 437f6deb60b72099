//! Connects the service to the platform.

use monopod_sdk::graph::{Answers, Field};
use monopod_sdk::{Fields, Host, Http, Problem, Request, Response};

struct Ingestion;

impl Http for Ingestion {
    fn handle(request: Request) -> Result<Response, Problem> {
        crate::answer(&Host, request)
    }
}

impl Fields for Ingestion {
    fn resolve(field: Field) -> Answers {
        crate::resolve(&field)
    }
}

monopod_sdk::export!(Ingestion: http, fields);
