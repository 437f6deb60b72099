//! Retention: what goes, and what never does.

use monopod_core::message::Message;
use monopod_core::now;
use monopod_core::store::{Error, Store};
use monopod_core::topics::{Place, Selection, Topics};

use crate::support::*;

const HOUR: u64 = 3_600_000;

#[tokio::test]
async fn a_message_goes_when_its_topic_says_so() {
    let it = Fixture::new().await;
    it.publish(message("news", "n")).await;
    assert_eq!(it.store.prune(now() + HOUR - 60_000).await.unwrap(), 0);
    assert!(it.last("news").await.is_some());
    assert_eq!(it.store.prune(now() + HOUR + 60_000).await.unwrap(), 1);
    assert!(it.last("news").await.is_none());
}

#[tokio::test]
async fn what_somebody_still_has_to_handle_never_goes() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m")).await;
    let for_billing = it.deliveries("billing").await.remove(0);
    it.store.commit(handling(&for_billing)).await.unwrap();
    assert_eq!(it.store.prune(u64::MAX).await.unwrap(), 0);
    let for_mail = it.deliveries("mail").await.remove(0);
    assert_eq!(&*for_mail.message.id, "m");
    it.store.commit(handling(&for_mail)).await.unwrap();
    assert_eq!(it.store.prune(u64::MAX).await.unwrap(), 1);
}

#[tokio::test]
async fn dead_letters_outlive_their_topic() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m")).await;
    for group in ["billing", "mail"] {
        let id = it.deliveries(group).await[0].id.clone();
        let verdict = monopod_core::store::Verdict::DeadLetter;
        it.store.delivery_failed(id, "no".into(), verdict).await.unwrap();
    }
    assert_eq!(it.store.prune(now() + 29 * 24 * HOUR).await.unwrap(), 1);
    assert!(it.last("orders.dead").await.is_some());
    assert_eq!(it.store.prune(now() + 31 * 24 * HOUR).await.unwrap(), 2);
}

#[tokio::test]
async fn more_than_one_piece_goes_in_one_call_and_sequences_are_not_given_out_again() {
    let it = Fixture::new().await;
    for part in 0..3 {
        let mut unit = unit();
        unit.messages.extend((0..400).map(|n| message("news", &format!("{part}-{n}"))));
        it.store.commit(unit).await.unwrap();
    }
    it.publish(message("orders", "before")).await;
    let before = it.deliveries("mail").await[0].id.sequence;
    assert_eq!(it.store.prune(now() + 2 * HOUR).await.unwrap(), 1_200);
    let it = it.reopen().await;
    it.publish(message("orders", "after")).await;
    assert!(it.deliveries("mail").await[1].id.sequence > before);
}

#[tokio::test]
async fn an_inbox_mark_stays_as_long_as_its_message_may_come_again() {
    let it = Fixture::new().await;
    let handle = async || {
        it.publish(message("orders", "same")).await;
        let delivery = it.deliveries("billing").await.remove(0);
        it.store.commit(handling(&delivery)).await
    };
    handle().await.unwrap();
    it.store.prune(now() + 6 * 24 * HOUR).await.unwrap();
    assert!(matches!(handle().await, Err(Error::Settled)));
    it.store.prune(now() + 8 * 24 * HOUR).await.unwrap();
    handle().await.unwrap();
}

#[tokio::test]
async fn of_a_compacted_topic_the_last_message_of_each_key_stays() {
    let mut topology = topology();
    topology.topics.get_mut("orders").unwrap().compact = true;
    let it = Fixture::with(topology).await;
    let publish = async |id: &str, key: Option<&str>| {
        it.publish(Message { key: key.map(Into::into), ..message("orders", id) }).await;
    };
    for (id, key) in
        [("a1", Some("a")), ("b1", Some("b")), ("none", None), ("a2", Some("a")), ("a3", Some("a"))]
    {
        publish(id, key).await;
    }
    // Nothing goes that somebody has to handle.
    assert_eq!(it.store.prune(now()).await.unwrap(), 0);
    for group in ["billing", "mail"] {
        for delivery in it.deliveries(group).await {
            it.store.commit(handling(&delivery)).await.unwrap();
        }
    }
    publish("a4", Some("a")).await;
    assert_eq!(it.store.prune(now()).await.unwrap(), 3);
    let all = Selection { topic: "orders".parse().unwrap(), from: None, to: None, key: None, id: None };
    let left = it.store.messages(&all, Place::default(), 100).await.unwrap();
    let left: Vec<_> = left.iter().map(|stored| &*stored.message.id).collect();
    assert_eq!(left, ["b1", "none", "a4"]);
    assert_eq!(it.deliveries("mail").await.len(), 1);
}
