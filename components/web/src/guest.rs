//! Connects the page to the platform.

use monopod_sdk::{Http, Problem, Request, Response};

struct Web;

impl Http for Web {
    fn handle(request: Request) -> Result<Response, Problem> {
        Ok(crate::answer(&request))
    }
}

monopod_sdk::export!(Web: http);
