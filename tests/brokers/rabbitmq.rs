//! RabbitMQ behind a topic. The server is started once for all tests; one that is killed is a
//! test's own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::{Mutex, Weak};

use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use monopod_core::topics::Topics;
use monopod_messaging::broker::{ExchangeKind, RabbitTopic};
use monopod_tests::services::rabbitmq::RabbitMq;

use crate::house::House;

/// The shared server: it ends with the last test that uses it.
pub fn shared() -> Arc<RabbitMq> {
    static SERVER: Mutex<Weak<RabbitMq>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap();
    server.upgrade().unwrap_or_else(|| {
        let started = Arc::new(RabbitMq::start());
        *server = Arc::downgrade(&started);
        started
    })
}

pub fn event(name: &str) -> RabbitTopic {
    RabbitTopic {
        exchange: name.to_owned(),
        kind: ExchangeKind::Fanout,
        routing_key: String::new(),
        queue: Some(format!("reader.{name}")),
        quorum: false,
    }
}

/// Somebody else at the broker.
pub async fn stranger(server: &RabbitMq) -> (Connection, Channel) {
    let connection = Connection::connect(&server.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_comes_back_through_the_broker_whole_and_once() {
    let server = shared();
    let house = House::rabbit(server.url(), "round", event("round"), 8);
    for n in 0..100 {
        house.publish("round", Some("key"), &n.to_string()).await;
    }
    house
        .until("all are handled", async |house| house.effects().await.len() >= 100 && house.settled().await)
        .await;
    let effects = house.effects().await;
    let said: Vec<String> =
        effects.iter().map(|e| String::from_utf8(e.message.payload.to_vec()).unwrap()).collect();
    let wanted: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(said, wanted, "once, and in the order of their key");
    for effect in &effects {
        let message = &effect.message;
        assert_eq!(message.key.as_deref(), Some("key"));
        assert!(message.headers.contains(&("x-schema".into(), "v1".into())), "{:?}", message.headers);
        assert_eq!(message.owner.as_ref().map(|owner| &*owner.subject), Some("anna"));
    }
    assert_eq!(
        house.messages("round").await.len(),
        100,
        "what the broker took is kept once it is back, and once"
    );
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_twice_has_one_effect_and_a_forged_owner_none() {
    let server = shared();
    let house = House::rabbit(server.url(), "twice", event("twice"), 8);
    house.publish("twice", None, "declared").await;
    house.until("the exchange is there", async |house| house.effects().await.len() == 1).await;
    let (_connection, channel) = stranger(&server).await;
    let mut headers = FieldTable::default();
    for (name, value) in
        [("monopod-owner-issuer", "i"), ("monopod-owner-subject", "eve"), ("monopod-seal", "00")]
    {
        headers.insert(name.into(), lapin::types::AMQPValue::LongString(value.into()));
    }
    for body in ["same", "same", "other"] {
        let id = format!("order-{body}");
        let properties =
            BasicProperties::default().with_message_id(id.as_str().into()).with_headers(headers.clone());
        let sent = channel.basic_publish(
            "twice".into(),
            "".into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            properties,
        );
        sent.await.unwrap().await.unwrap();
    }
    // The last of them is behind the second in the queue.
    house
        .until("the last is handled", async |house| {
            house.effects().await.iter().any(|e| &*e.message.payload == b"other")
        })
        .await;
    let effects = house.effects().await;
    assert_eq!(effects.iter().filter(|e| &*e.message.payload == b"same").count(), 1);
    for effect in effects.iter().filter(|e| &*e.message.payload != b"declared") {
        assert_eq!(effect.message.owner, None);
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_queue_wants_is_a_dead_letter_and_goes_when_it_is_retried() {
    let server = shared();
    let nobody = RabbitTopic { queue: None, ..event("nobody") };
    let house = House::rabbit(server.url(), "nobody", nobody, 1);
    house.publish("nobody", None, "lost?").await;
    house.until("the letter is there", async |house| !house.messages("nobody.dead").await.is_empty()).await;
    let letter = house.messages("nobody.dead").await.remove(0);
    let why = letter.message.headers.iter().find(|(name, _)| name == "x-dead-reason").unwrap();
    assert!(why.1.contains("312") && why.1.contains("no queue is bound to exchange `nobody`"), "{}", why.1);

    let (_connection, channel) = stranger(&server).await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("late".into(), options, FieldTable::default()).await.unwrap();
    channel
        .queue_bind("late".into(), "nobody".into(), "".into(), Default::default(), FieldTable::default())
        .await
        .unwrap();
    house.store.retry(letter.sequence).await.unwrap();
    house
        .until("it is sent", async |house| house.settled().await && house.messaging.brokers()[0].sent == 1)
        .await;
    let got =
        channel.basic_get("late".into(), Default::default()).await.unwrap().expect("it is in the queue");
    assert_eq!(got.data, b"lost?");
    assert!(house.messages("nobody.dead").await.is_empty());
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_another_kind_is_said_and_left_alone() {
    let server = shared();
    let (_connection, channel) = stranger(&server).await;
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let declare = || {
        channel.exchange_declare("other".into(), lapin::ExchangeKind::Direct, options, FieldTable::default())
    };
    declare().await.unwrap();
    let house = House::rabbit(server.url(), "other", event("other"), 8);
    house.publish("other", None, "waits").await;
    house.until("it is said", async |house| house.messaging.brokers()[0].wrong().is_some()).await;
    let status = house.messaging.brokers().remove(0);
    let why = status.wrong().unwrap();
    assert!(why.contains("exchange `other`") && why.contains("inequivalent arg 'type'"), "{why}");
    assert!(!house.settled().await, "what was published waits");
    declare().await.expect("it is as it was");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_under_load_loses_and_doubles_nothing() {
    const MESSAGES: usize = 600;
    let mut server = RabbitMq::start();
    let house = House::rabbit(server.url(), "kill", event("kill"), 8);
    for round in 0..2 {
        for n in 0..MESSAGES / 2 {
            let text = format!("{round}-{n}");
            house.publish("kill", Some(&format!("key-{}", n % 7)), &text).await;
            if n == MESSAGES / 4 {
                server = tokio::task::spawn_blocking(move || {
                    server.kill();
                    server
                })
                .await
                .unwrap();
            }
        }
        server = tokio::task::spawn_blocking(move || {
            server.again();
            server
        })
        .await
        .unwrap();
    }
    house
        .until("all are handled", async |house| {
            house.effects().await.len() >= MESSAGES && house.settled().await
        })
        .await;
    let effects = house.effects().await;
    let said: BTreeSet<_> = effects.iter().map(|e| e.message.payload.clone()).collect();
    assert_eq!((effects.len(), said.len()), (MESSAGES, MESSAGES), "each once");
    house.stop().await;
    drop(server);
}
