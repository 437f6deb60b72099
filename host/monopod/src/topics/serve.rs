//! The running platform's side: answers what the command line asks about topics. Reached
//! through the admin socket only, which only the owner of the state folder can open.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::message::Message;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::Store;
use monopod_core::topics::{Refusal, Stored, Topics};
use monopod_core::unit::{Cause, MAX_KEY, MAX_VALUE, Unit};
use serde_json::{Value, json};

use super::words::{Ask, View};

/// The path on the admin socket.
pub const PATH: &str = "/topics";
/// The most bytes of contents in one answer: a page of large messages would take memory
/// from those who work. A page that is cut ends earlier, never empty.
const MAX_ANSWER: usize = 8 << 20;

/// What it needs.
#[derive(Clone)]
pub struct Desk {
    /// Looks and delivers again.
    pub topics: Arc<dyn Topics>,
    /// Publishes.
    pub store: Arc<dyn Store>,
    /// The declared topics: only to them is published.
    pub declared: Arc<BTreeSet<TopicName>>,
}

/// The route of the admin socket.
pub fn router(desk: Desk) -> Router {
    Router::new().route(PATH, post(answer)).with_state(desk)
}

async fn answer(State(desk): State<Desk>, Json(ask): Json<Ask>) -> Response {
    match desk.answer(ask).await {
        Ok(value) => Json(value).into_response(),
        Err(Refusal::Wrong(text)) => (StatusCode::BAD_REQUEST, text).into_response(),
        Err(Refusal::Store(error)) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

impl Desk {
    async fn answer(&self, ask: Ask) -> Result<Value, Refusal> {
        let topics = &self.topics;
        Ok(match ask {
            Ask::Topics => json!(topics.topics().await?),
            Ask::Message { sequence } => json!(topics.message(sequence).await?.as_ref().map(View::from)),
            Ask::Messages { of, after, limit } => page(&topics.messages(&of, after, limit).await?),
            Ask::Newest { of, limit } => page(&topics.newest(&of, limit).await?),
            Ask::Publish { topic, key, headers, payload } => {
                json!(self.publish(topic, key, headers, &payload).await?)
            }
            Ask::Replay { of, consumer, again, after } => {
                json!(topics.replay(&of, consumer.as_ref(), again, after).await?)
            }
            Ask::Skip { topic, consumer, to } => json!(topics.skip(&topic, &consumer, to).await?),
            Ask::Retry { sequence } => json!(topics.retry(sequence).await?),
        })
    }

    /// Publishes by hand: nobody's message, of an action of its own.
    async fn publish(
        &self,
        topic: TopicName,
        key: Option<String>,
        headers: Vec<(String, String)>,
        payload: &str,
    ) -> Result<String, Refusal> {
        let wrong = |text: String| Err(Refusal::Wrong(text));
        if !self.declared.contains(&topic) {
            return wrong(format!("there is no topic `{topic}`; see `monopod topics`"));
        }
        let Ok(payload) = BASE64.decode(payload) else {
            return wrong("the content is not base64".to_owned());
        };
        if payload.len() > MAX_VALUE || key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return wrong(format!("a message has at most {MAX_VALUE} bytes, a key {MAX_KEY}"));
        }
        let (correlation, trace) = (CorrelationId::new(), TraceId::new());
        let id = uuid::Uuid::now_v7().to_string();
        let component = "monopod".parse::<ComponentName>();
        let component = component.map_err(|error| Refusal::Wrong(error.to_string()))?;
        let mut unit = Unit::new(component, Cause::Request, correlation.clone(), trace, None);
        unit.messages.push(Message {
            id: id.as_str().into(),
            topic,
            key: key.map(Into::into),
            headers: headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            payload: payload.into(),
            correlation,
            trace,
            owner: None,
            published_at: 0,
        });
        self.store.commit(unit).await?;
        Ok(id)
    }
}

fn page(found: &[Stored]) -> Value {
    let mut bytes = 0;
    let fits = |stored: &&Stored| {
        let first = bytes == 0;
        bytes += stored.message.payload.len();
        first || bytes <= MAX_ANSWER
    };
    json!(found.iter().take_while(fits).map(View::from).collect::<Vec<_>>())
}
