//! A message of the platform as one of AMQP, and back. Nothing is lost on the way: what has
//! no place on the other side travels as a header (`docs/brokers.md` has the table).

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::identity::Owner;
use monopod_core::message::Message;
use monopod_core::name::TopicName;
use monopod_core::unit::{MAX_KEY, MAX_VALUE};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::broker::Seal;

/// What this platform puts into AMQP headers of its own.
const KEY: &str = "monopod-key";
const ISSUER: &str = "monopod-owner-issuer";
const SUBJECT: &str = "monopod-owner-subject";
const SEAL: &str = "monopod-seal";
const TRACE: &str = "traceparent";
const OWN: [&str; 5] = [KEY, ISSUER, SUBJECT, SEAL, TRACE];
/// By which this platform's own messages are known; nothing is decided by it.
const APP: &str = "monopod";

/// What AMQP properties become as headers of a message.
const CONTENT_TYPE: &str = "content-type";
const CONTENT_ENCODING: &str = "content-encoding";
const TYPE: &str = "amqp-type";
const REPLY_TO: &str = "amqp-reply-to";
const APP_ID: &str = "amqp-app-id";
const USER: &str = "amqp-user-id";
const CLUSTER: &str = "amqp-cluster-id";
const PRIORITY: &str = "amqp-priority";
const EXPIRATION: &str = "amqp-expiration";
const DELIVERY_MODE: &str = "amqp-delivery-mode";
const TIMESTAMP: &str = "amqp-timestamp";
const MESSAGE_ID: &str = "amqp-message-id";
const CORRELATION: &str = "amqp-correlation-id";
/// Where it came from: for who handles it; not sent back.
const EXCHANGE: &str = "amqp-exchange";
const ROUTING_KEY: &str = "amqp-routing-key";
/// The headers that are no plain lower-case text, with their types, as JSON.
const TYPED: &str = "amqp-headers";
const SPECIAL: [&str; 16] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    TYPE,
    REPLY_TO,
    APP_ID,
    USER,
    CLUSTER,
    PRIORITY,
    EXPIRATION,
    DELIVERY_MODE,
    TIMESTAMP,
    MESSAGE_ID,
    CORRELATION,
    EXCHANGE,
    ROUTING_KEY,
    TYPED,
];
/// RabbitMQ counts in this one how often it gave a message up. Sent back it would go on
/// counting, and drop what it takes for a circle.
const DEATHS: &str = "x-death";

/// The properties of a message that is sent; or why AMQP cannot have it.
pub(super) fn outgoing(message: &Message, seal: &Seal) -> Result<BasicProperties, String> {
    let text = |name: &str, value: &str| {
        ShortString::try_new(value).map_err(|error| format!("header `{name}`: {error}"))
    };
    let number = |name: &str, value: &str| {
        value.parse().map_err(|_| format!("header `{name}` is not a number: `{value}`"))
    };
    let seconds = message.published_at / 1_000;
    let mut properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_app_id(text("app-id", APP)?)
        .with_message_id(text("message-id", &message.id)?)
        .with_correlation_id(text("correlation-id", message.correlation.as_str())?)
        .with_timestamp(seconds);
    let typed = message.headers.iter().find(|(name, _)| name == TYPED);
    let typed = typed.and_then(|(_, json)| serde_json::from_str::<FieldTable>(json).ok()).unwrap_or_default();
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        properties = match name.as_str() {
            CONTENT_TYPE => properties.with_content_type(text(name, value)?),
            CONTENT_ENCODING => properties.with_content_encoding(text(name, value)?),
            TYPE => properties.with_type(text(name, value)?),
            REPLY_TO => properties.with_reply_to(text(name, value)?),
            APP_ID => properties.with_app_id(text(name, value)?),
            CLUSTER => properties.with_cluster_id(text(name, value)?),
            PRIORITY => properties.with_priority(
                u8::try_from(number(name, value)?).map_err(|_| format!("header `{name}` is above 255"))?,
            ),
            EXPIRATION => properties.with_expiration(text(name, value)?),
            DELIVERY_MODE => properties.with_delivery_mode(
                u8::try_from(number(name, value)?).map_err(|_| format!("header `{name}` is above 255"))?,
            ),
            TIMESTAMP => properties.with_timestamp(number(name, value)?),
            MESSAGE_ID => properties.with_message_id(text(name, value)?),
            CORRELATION => properties.with_correlation_id(text(name, value)?),
            // The broker takes a user's name from that user alone; where it came from is past.
            USER | EXCHANGE | ROUTING_KEY | TYPED => properties,
            own if OWN.contains(&own) => properties,
            plain => {
                let is_copy = typed.inner().keys().any(|typed| typed.as_str().eq_ignore_ascii_case(plain));
                if !is_copy {
                    headers.insert(text("name", name)?, AMQPValue::LongString(value.as_str().into()));
                }
                properties
            }
        };
    }
    for (name, value) in typed.inner() {
        if name.as_str() != DEATHS && !OWN.contains(&name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let mut own = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if let Some(key) = &message.key {
        own(KEY, key);
    }
    let trace = message.trace.traceparent();
    own(TRACE, &String::from_utf8_lossy(&trace));
    if let Some(owner) = &message.owner {
        let id = properties.message_id().as_ref().map_or("", ShortString::as_str);
        own(SEAL, &seal.on(id, owner));
        own(ISSUER, &owner.issuer);
        own(SUBJECT, &owner.subject);
    }
    Ok(properties.with_headers(headers))
}

/// The message that was handed over; or why it can never be one.
pub(super) fn incoming(delivery: &Delivery, topic: &TopicName, seal: &Seal) -> Result<Message, String> {
    let properties = &delivery.properties;
    if delivery.data.len() > MAX_VALUE {
        return Err(format!(
            "it has {} bytes, and a message of a topic at most {MAX_VALUE}",
            delivery.data.len()
        ));
    }
    let empty = FieldTable::default();
    let table = properties.headers().as_ref().unwrap_or(&empty);
    let own = |name: &str| table.inner().get(name).and_then(text_of);
    let key = own(KEY);
    if key.is_some_and(|key| key.len() > MAX_KEY) {
        return Err(format!("its key has more than {MAX_KEY} bytes"));
    }
    let mut headers = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        headers.extend(value.map(|value| (name.to_owned(), value)));
    };
    let string = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    add(CONTENT_TYPE, string(properties.content_type()));
    add(CONTENT_ENCODING, string(properties.content_encoding()));
    add(TYPE, string(properties.kind()));
    add(REPLY_TO, string(properties.reply_to()));
    add(USER, string(properties.user_id()));
    add(CLUSTER, string(properties.cluster_id()));
    add(PRIORITY, properties.priority().map(|n| n.to_string()));
    add(EXPIRATION, string(properties.expiration()));
    add(DELIVERY_MODE, properties.delivery_mode().filter(|mode| *mode != 2).map(|n| n.to_string()));
    if string(properties.app_id()).as_deref() != Some(APP) {
        add(APP_ID, string(properties.app_id()));
        add(TIMESTAMP, properties.timestamp().map(|n| n.to_string()));
        add(EXCHANGE, Some(delivery.exchange.to_string()));
        add(ROUTING_KEY, Some(delivery.routing_key.to_string()));
    }
    let sent_id = string(properties.message_id());
    let id = match &sent_id {
        // Without one it cannot be known again: it may come twice, and is never lost.
        None => Uuid::now_v7().to_string(),
        Some(id) if Uuid::parse_str(id).is_ok_and(|uuid| uuid.to_string() == *id) => id.clone(),
        // Senders number their messages as they like, and two may begin with 1.
        Some(id) => {
            add(MESSAGE_ID, Some(id.clone()));
            named(topic, id)
        }
    };
    let sent_correlation = string(properties.correlation_id());
    let correlation = sent_correlation.as_deref().and_then(CorrelationId::parse);
    if correlation.is_none() {
        add(CORRELATION, sent_correlation);
    }
    let mut typed = FieldTable::default();
    for (name, value) in table.inner() {
        let name_text = name.as_str();
        if OWN.contains(&name_text) && text_of(value).is_some() {
            continue;
        }
        let plain = text_of(value).filter(|_| {
            let lower = !name_text.is_empty() && !name_text.chars().any(char::is_uppercase);
            lower && !SPECIAL.contains(&name_text) && !OWN.contains(&name_text)
        });
        match plain {
            Some(text) => add(name_text, Some(text.to_owned())),
            None => {
                typed.insert(name.clone(), value.clone());
                let lower = name_text.to_lowercase();
                if !SPECIAL.contains(&lower.as_str()) && !OWN.contains(&lower.as_str()) && !lower.is_empty() {
                    add(&lower, scalar(value));
                }
            }
        }
    }
    if !typed.inner().is_empty() {
        let json = serde_json::to_string(&typed).map_err(|error| format!("its headers: {error}"))?;
        add(TYPED, Some(json));
    }
    let wire_id = sent_id.as_deref().unwrap_or_default();
    let owner = owner(own(ISSUER), own(SUBJECT), own(SEAL), wire_id, seal);
    Ok(Message {
        id: id.into(),
        topic: topic.clone(),
        key: key.map(Into::into),
        headers,
        payload: delivery.data.clone().into(),
        correlation: correlation.unwrap_or_else(CorrelationId::new),
        trace: own(TRACE).and_then(TraceId::from_traceparent).unwrap_or_else(TraceId::new),
        owner,
        published_at: 0,
    })
}

/// The properties without a user's name.
pub(super) fn without_user(from: BasicProperties) -> BasicProperties {
    let mut to = BasicProperties::default();
    macro_rules! copy {
        ($($get:ident $set:ident),+) => { $(if let Some(value) = from.$get().clone() { to = to.$set(value); })+ };
    }
    copy!(
        content_type with_content_type, content_encoding with_content_encoding, headers with_headers,
        priority with_priority, correlation_id with_correlation_id, reply_to with_reply_to,
        expiration with_expiration, message_id with_message_id, timestamp with_timestamp,
        kind with_type, app_id with_app_id, cluster_id with_cluster_id
    );
    to
}

fn owner(
    issuer: Option<&str>,
    subject: Option<&str>,
    mark: Option<&str>,
    id: &str,
    seal: &Seal,
) -> Option<Owner> {
    let owner = Owner { issuer: issuer?.into(), subject: subject?.into() };
    let holds = seal.holds(mark?, id, &owner);
    if !holds {
        tracing::warn!(
            message = id,
            "the owner of a message is not sealed by this platform, and not believed"
        );
    }
    holds.then_some(owner)
}

/// An id that `sent` always has on `topic`, and no other.
fn named(topic: &TopicName, sent: &str) -> String {
    let digest = Sha256::new().chain_update(topic.as_str()).chain_update([0]).chain_update(sent).finalize();
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = from;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn text_of(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        _ => None,
    }
}

/// As a component would like to read it.
fn scalar(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::Boolean(it) => it.to_string(),
        AMQPValue::ShortShortInt(it) => it.to_string(),
        AMQPValue::ShortShortUInt(it) => it.to_string(),
        AMQPValue::ShortInt(it) => it.to_string(),
        AMQPValue::ShortUInt(it) => it.to_string(),
        AMQPValue::LongInt(it) => it.to_string(),
        AMQPValue::LongUInt(it) => it.to_string(),
        AMQPValue::LongLongInt(it) => it.to_string(),
        AMQPValue::Timestamp(it) => it.to_string(),
        AMQPValue::ShortString(it) => it.to_string(),
        other => return text_of(other).map(str::to_owned),
    })
}
