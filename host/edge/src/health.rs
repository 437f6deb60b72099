//! `/health/live` and `/health/ready`. Told apart by path alone: nothing a client says
//! of itself changes an answer.

use axum::http::StatusCode;
use serde_json::json;
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::door::Ready;
use crate::limits::READY;

/// Alive is whoever can say so.
pub(crate) fn live() -> Answer {
    answer::json(StatusCode::OK, &json!({ "status": "live" }))
}

/// Ready is when all rooms say so in time.
pub(crate) async fn ready(ready: &Ready) -> Answer {
    let reasons = match timeout(READY, ready()).await {
        Ok(Ok(())) => return answer::json(StatusCode::OK, &json!({ "status": "ready" })),
        Ok(Err(reasons)) => reasons,
        Err(_) => vec![format!("the readiness checks did not end within {} ms", READY.as_millis())],
    };
    answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "unready", "reasons": reasons }))
}
