//! RabbitMQ in trouble, or in the way: answers that do not come, connections that are cut,
//! messages that can never be kept, queues that are replicated.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::AMQPValue;
use monopod_messaging::broker::{Line, Patience, RabbitTopic, Side};
use monopod_tests::proxy::Proxy;

use crate::house::House;
use crate::rabbitmq::{event, shared, stranger};

/// The largest message that a topic takes is 1 MiB.
const TOO_LARGE: usize = (1 << 20) + 1;

fn url(proxy: &Proxy) -> String {
    format!("amqp://127.0.0.1:{}", proxy.port())
}

/// Every effect once: as many as there are, and as many different ones.
async fn each_once(house: &House, messages: usize) {
    house
        .until("all are handled", async |house| {
            house.effects().await.len() >= messages && house.settled().await
        })
        .await;
    let effects = house.effects().await;
    let said: BTreeSet<_> = effects.iter().map(|e| e.message.payload.clone()).collect();
    assert_eq!((effects.len(), said.len()), (messages, messages), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_never_comes_ends_the_line_and_costs_no_attempt() {
    let server = shared();
    let proxy = Proxy::before(server.port());
    let patience = Patience { confirm: Duration::from_secs(1), ..Patience::default() };
    // With one attempt only: if one was counted, there would be a dead letter.
    let house = House::patient(url(&proxy), "silent", event("silent"), 1, patience);
    house.publish("silent", None, "first").await;
    each_once(&house, 1).await;
    proxy.hold();
    for n in 0..20 {
        house.publish("silent", Some("key"), &n.to_string()).await;
    }
    house
        .until("it is said", async |house| {
            let status = house.messaging.brokers().remove(0);
            let said = |line: &Line| matches!(line, Line::Away(why) if why.contains("no confirmation within 1000 ms"));
            status.lines.iter().any(|(side, line, _)| *side == Side::Giving && said(line))
        })
        .await;
    proxy.release();
    each_once(&house, 21).await;
    assert!(house.messages("silent.dead").await.is_empty(), "waiting is no attempt");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_under_load_lose_and_double_nothing() {
    const MESSAGES: usize = 300;
    let server = shared();
    let proxy = Proxy::before(server.port());
    let house = House::rabbit(url(&proxy), "cut", event("cut"), 1);
    for n in 0..MESSAGES {
        house.publish("cut", Some(&format!("key-{}", n % 7)), &n.to_string()).await;
        match n % 60 {
            // Before the confirmations, which are held back when the line goes ...
            19 => proxy.hold(),
            // ... so that the broker has what nobody was told of.
            29 => {
                proxy.cut();
                proxy.release();
            }
            // And anywhere.
            49 => proxy.cut(),
            _ => {}
        }
    }
    each_once(&house, MESSAGES).await;
    assert!(house.messages("cut.dead").await.is_empty(), "a cut is no attempt");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_never_be_kept_is_put_aside_whole_and_the_next_goes_on() {
    let server = shared();
    let house = House::rabbit(server.url(), "large", event("large"), 8);
    house.publish("large", None, "declared").await;
    each_once(&house, 1).await;
    let (_connection, channel) = stranger(&server).await;
    let large = vec![7; TOO_LARGE];
    for (id, body) in [("large", large.as_slice()), ("small", b"small")] {
        let properties = BasicProperties::default().with_message_id(id.into()).with_type("order".into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("large".into(), "".into(), options, body, properties).await.unwrap();
    }
    each_once(&house, 2).await;
    let aside = channel.basic_get("reader.large.refused".into(), Default::default()).await.unwrap();
    let aside = aside.expect("it is put aside before the next is handled");
    assert_eq!(aside.data, large);
    assert_eq!(aside.properties.kind().as_ref().map(|kind| kind.as_str()), Some("order"));
    let headers = aside.properties.headers().clone().unwrap();
    let Some(AMQPValue::LongString(why)) = headers.inner().get("monopod-refused") else {
        panic!("no reason: {headers:?}")
    };
    assert!(why.to_string().contains("1048577 bytes"), "{why}");
    assert_eq!(house.messaging.brokers()[0].put_aside, 1);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replicated_queue_carries_as_any_other() {
    let server = shared();
    let at = RabbitTopic { quorum: true, ..event("replicated") };
    let house = House::rabbit(server.url(), "replicated", at, 8);
    for n in 0..20 {
        house.publish("replicated", Some("key"), &n.to_string()).await;
    }
    each_once(&house, 20).await;
    house.stop().await;
}
