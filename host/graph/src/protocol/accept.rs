//! Which media type the client wants: the `Accept` header against what there is
//! (RFC 9110 section 12.5.1, GraphQL over HTTP section 6).

use http::HeaderMap;
use http::header;

/// The media type of a response that is one JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `application/graphql-response+json`: the status says how it went.
    Response,
    /// `application/json`: older clients, for which a well-formed request is always 200.
    Json,
}

impl Answer {
    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// What the client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    /// The best type for one document; none if it takes no such type.
    pub answer: Option<Answer>,
    /// Whether it takes `text/event-stream`.
    pub stream: bool,
    /// Whether it prefers that.
    pub prefers_stream: bool,
    /// Whether it is a browser that wants a page: it says so by name, and likes nothing better.
    pub page: bool,
}

/// Reads the `Accept` headers. Without one anything is taken, and JSON is what old
/// clients expect.
pub fn accepts(headers: &HeaderMap) -> Accepts {
    let mut response = Weight::default();
    let mut json = Weight::default();
    let mut stream = Weight::default();
    let mut html = Weight::default();
    let mut any = false;
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for (order, range) in
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|r| !r.is_empty()).enumerate()
    {
        any = true;
        let (media, quality) = parse(range);
        let weight = |specific| Weight { quality, specific, order };
        if media.eq_ignore_ascii_case("application/graphql-response+json") {
            response.offer(weight(2));
        } else if media.eq_ignore_ascii_case("application/json") {
            json.offer(weight(2));
        } else if media.eq_ignore_ascii_case("text/event-stream") {
            stream.offer(weight(2));
        } else if media.eq_ignore_ascii_case("text/html") {
            html.offer(weight(2));
        } else if media == "*/*" || media.eq_ignore_ascii_case("application/*") {
            json.offer(weight(1));
        }
    }
    if !any {
        return Accepts { answer: Some(Answer::Json), stream: false, prefers_stream: false, page: false };
    }
    let answer = match (response.quality, json.quality) {
        (0, 0) => None,
        // At equal weight the newer type, which says more.
        (response, json) if response >= json => Some(Answer::Response),
        _ => Some(Answer::Json),
    };
    let document = response.quality.max(json.quality);
    let earlier = stream.order < response.order.min(json.order);
    let prefers_stream = stream.quality > document || (stream.quality == document && earlier);
    let prefers_stream = stream.quality > 0 && prefers_stream;
    let others = [response, json, stream];
    let better = |other: &Weight| (html.quality, other.order) > (other.quality, html.order);
    let page = html.quality > 0 && others.iter().all(better);
    Accepts { answer, stream: stream.quality > 0, prefers_stream, page }
}

#[derive(Clone, Copy)]
struct Weight {
    /// In thousandths.
    quality: u32,
    specific: u8,
    order: usize,
}

impl Default for Weight {
    fn default() -> Self {
        Self { quality: 0, specific: 0, order: usize::MAX }
    }
}

impl Weight {
    /// The most specific range that names a type decides.
    fn offer(&mut self, other: Self) {
        if other.specific > self.specific {
            *self = other;
        }
    }
}

fn parse(range: &str) -> (&str, u32) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = quality.and_then(|text| text.parse::<f32>().ok()).unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
    let thousandths = (quality.clamp(0.0, 1.0) * 1_000.0) as u32;
    (media, thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_type_that_the_client_takes_is_chosen() {
        use Answer::{Json, Response};
        for (header, answer, stream, prefers) in [
            (None, Some(Json), false, false),
            (Some("*/*"), Some(Json), false, false),
            (Some("application/*"), Some(Json), false, false),
            (Some("application/json"), Some(Json), false, false),
            (Some("application/json; charset=utf-8"), Some(Json), false, false),
            (Some("application/graphql-response+json"), Some(Response), false, false),
            (Some("application/graphql-response+json, application/json;q=0.9"), Some(Response), false, false),
            (Some("application/json, application/graphql-response+json;q=0.5"), Some(Json), false, false),
            (Some("application/json;q=0, */*"), None, false, false),
            (Some("text/html"), None, false, false),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some(Json), false, false),
            (Some("application/json, text/html"), Some(Json), false, false),
            (Some("*/*, text/html;q=0.9"), Some(Json), false, false),
            (Some("text/event-stream"), None, true, true),
            (Some("text/event-stream, application/json"), Some(Json), true, true),
            (Some("application/json, text/event-stream"), Some(Json), true, false),
            (Some("APPLICATION/JSON;Q=0.1, nonsense;;q=x"), Some(Json), false, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(header::ACCEPT, header.parse().unwrap());
            }
            let page = header.is_some_and(|header| header.starts_with("text/html"));
            let expected = Accepts { answer, stream, prefers_stream: prefers, page };
            assert_eq!(accepts(&headers), expected, "{header:?}");
        }
    }
}
