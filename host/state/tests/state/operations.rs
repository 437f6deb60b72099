//! What an operator does with topics: looks, delivers again, skips, retries.

use monopod_core::store::{Error, Store, Verdict};
use monopod_core::topics::{PAGE, Place, Refusal, Replayed, Selection, Topics};
use monopod_core::unit::Cause;

use crate::support::*;

fn all(topic: &str) -> Selection {
    Selection { topic: topic.parse().unwrap(), from: None, to: None, key: None, id: None }
}

/// Kills the only delivery of `group`, and says where the dead letter stands.
async fn bury(it: &Fixture, group: &str, topic: &str) -> u64 {
    let id = it.deliveries(group).await.remove(0).id;
    it.store.delivery_failed(id, "no".into(), Verdict::DeadLetter).await.unwrap();
    it.store.newest(&all(topic), 1).await.unwrap().remove(0).sequence
}

async fn handle(it: &Fixture, group: &str) {
    for delivery in it.deliveries(group).await {
        it.store.commit(handling(&delivery)).await.unwrap();
    }
}

fn wrong<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    match result {
        Err(Refusal::Wrong(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn topics_tell_what_they_hold_and_who_lags() {
    let it = Fixture::new().await;
    for n in 0..3 {
        it.publish(message("orders", &format!("m{n}"))).await;
    }
    let first = it.deliveries("billing").await.remove(0);
    it.store.commit(handling(&first)).await.unwrap();
    let id = it.deliveries("mail").await.remove(0).id;
    it.store.delivery_failed(id, "x".into(), Verdict::Retry(tomorrow())).await.unwrap();
    let topics = it.store.topics().await.unwrap();
    let names: Vec<_> = topics.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(names, ["news", "orders"]);
    assert_eq!((topics[0].messages, topics[0].oldest), (0, None));
    let orders = &topics[1];
    assert_eq!(orders.messages, 3);
    assert!(orders.oldest <= orders.newest && orders.oldest.is_some());
    let lags: Vec<_> = orders
        .consumers
        .iter()
        .map(|lag| (lag.consumer.as_str(), lag.waiting, lag.failing, lag.oldest.is_some()))
        .collect();
    assert_eq!(lags.len(), 2);
    assert!(lags.contains(&("billing", 2, 0, true)) && lags.contains(&("mail", 3, 1, true)), "{lags:?}");
}

#[tokio::test]
async fn a_selection_is_walked_in_order_and_from_its_end() {
    let it = Fixture::new().await;
    for n in 0..5 {
        let mut message = message("news", &format!("m{n}"));
        message.key = Some(if n % 2 == 0 { "even".into() } else { "odd".into() });
        it.publish(message).await;
    }
    it.publish(message("orders", "other")).await;
    let check = async |of: &Selection, expect: &[&str]| {
        let found = it.store.messages(of, Place::default(), 100).await.unwrap();
        let ids: Vec<_> = found.iter().map(|stored| &*stored.message.id).collect();
        assert_eq!(ids, expect, "{of:?}");
        let mut back = it.store.newest(of, 100).await.unwrap();
        back.reverse();
        assert_eq!(back, found);
        // And in pieces.
        let (mut after, mut walked) = (Place::default(), Vec::new());
        while let [stored] = &it.store.messages(of, after, 1).await.unwrap()[..] {
            after = stored.place();
            walked.push(stored.message.id.to_string());
        }
        assert_eq!(walked, expect, "{of:?}");
        found
    };
    let found = check(&all("news"), &["m0", "m1", "m2", "m3", "m4"]).await;
    check(&Selection { key: Some("odd".into()), ..all("news") }, &["m1", "m3"]).await;
    check(&Selection { id: Some("m2".into()), ..all("news") }, &["m2"]).await;
    check(&all("nothing"), &[]).await;
    let newest = found[4].message.published_at;
    check(&Selection { from: Some(newest + 1), ..all("news") }, &[]).await;
    check(&Selection { to: Some(found[0].message.published_at), ..all("news") }, &[]).await;
    assert_eq!(it.store.newest(&all("news"), 2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_replay_gives_what_was_not_handled_and_by_force_the_rest() {
    let it = Fixture::new().await;
    for id in ["m0", "m1", "m2"] {
        it.publish(message("orders", id)).await;
    }
    handle(&it, "billing").await;
    // One is given up, the others wait.
    bury(&it, "mail", "orders.dead").await;
    it.told();
    let replay = async |again| it.store.replay(&all("orders"), None, again, Place::default()).await.unwrap();
    let done = replay(false).await;
    assert_eq!(done, Replayed { delivered: 1, handled: 3, waiting: 2, ..Replayed::default() });
    assert_eq!(it.told(), [Told::Redelivered("mail".into())]);
    let ids: Vec<_> = it.deliveries("mail").await.iter().map(|d| d.message.id.to_string()).collect();
    assert_eq!(ids, ["m1", "m2", "m0"], "behind what waited");
    assert_eq!(it.deliveries("mail").await[2].attempt, 1);

    let mail = "mail".parse().unwrap();
    let again = it.store.replay(&all("orders"), Some(&mail), true, Place::default()).await.unwrap();
    assert_eq!(again, Replayed { waiting: 3, ..Replayed::default() }, "what waits is not given twice");
    let done = replay(true).await;
    assert_eq!(done, Replayed { delivered: 3, waiting: 3, ..Replayed::default() });
    // Its second handling has its effect, since it was asked for.
    let again = it.deliveries("billing").await.remove(0);
    let mut unit = handling(&again);
    unit.writes = write("a", "again").writes;
    it.store.commit(unit).await.unwrap();
    assert_eq!(it.value("a").await.as_deref(), Some("again"));
    // A late subscriber does not take the replay for news.
    assert_eq!(&*it.last("orders").await.unwrap().id, "m2");
}

#[tokio::test]
async fn a_long_replay_goes_step_by_step_and_a_consumer_that_came_later_gets_all() {
    let it = Fixture::new().await;
    let more = PAGE + 20;
    for part in 0..2 {
        let mut unit = unit();
        unit.messages.extend((0..more / 2).map(|n| message("news", &format!("{part}-{n:04}"))));
        it.store.commit(unit).await.unwrap();
    }
    let mut topology = topology();
    topology.topics.get_mut("news").unwrap().consumers.insert("reader".parse().unwrap());
    let it = it.reopen_with(topology).await;
    assert!(it.deliveries("reader").await.is_empty(), "it is given what is published from now on");
    let (mut after, mut steps, mut delivered) = (Some(Place::default()), 0, 0);
    while let Some(place) = after {
        let done = it.store.replay(&all("news"), None, false, place).await.unwrap();
        (after, steps, delivered) = (done.next, steps + 1, delivered + done.delivered);
    }
    assert_eq!((steps, delivered), (2, more as u64));
    let found = it.store.deliveries(&"reader".parse().unwrap(), 0, 2_000).await.unwrap();
    let ids: Vec<_> = found.iter().map(|d| d.message.id.to_string()).collect();
    assert!(ids.is_sorted() && ids.len() == more, "{}", ids.len());
}

#[tokio::test]
async fn what_is_skipped_is_not_handled() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m0")).await;
    let topic = "orders".parse().unwrap();
    let mail = "mail".parse().unwrap();
    let done = it.store.skip(&topic, &mail, tomorrow()).await.unwrap();
    assert_eq!(done, Replayed { dropped: 1, ..Replayed::default() });
    assert!(it.deliveries("mail").await.is_empty());
    assert_eq!(it.deliveries("billing").await.len(), 1, "another's is another's");
    let done = it.store.replay(&all("orders"), Some(&mail), false, Place::default()).await.unwrap();
    assert_eq!(done.handled, 1, "and it counts as handled");
}

#[tokio::test]
async fn a_dead_letter_is_retried_as_the_message_it_was() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let before = it.deliveries("mail").await.remove(0);
    let letter = bury(&it, "mail", "orders.dead").await;
    it.told();
    it.store.retry(letter).await.unwrap();
    assert_eq!(it.told(), [Told::Redelivered("mail".into())]);
    let after = it.deliveries("mail").await.remove(0);
    assert_eq!((after.message, after.attempt), (before.message, 1));
    assert!(it.store.newest(&all("orders.dead"), 9).await.unwrap().is_empty());
    let text = wrong(it.store.retry(letter).await);
    assert!(text.contains("monopod dlq list"), "{text}");
    // Replayed as well by somebody else, it has one effect.
    handle(&it, "mail").await;
    let mail = "mail".parse().unwrap();
    let done = it.store.replay(&all("orders"), Some(&mail), false, Place::default()).await.unwrap();
    assert_eq!(done.handled, 1);
}

#[tokio::test]
async fn a_dead_letter_whose_message_is_gone_is_retried_all_the_same() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    handle(&it, "billing").await;
    let before = it.deliveries("mail").await.remove(0);
    let letter = bury(&it, "mail", "orders.dead").await;
    // After its topic's retention, and before that of the dead letters.
    assert_eq!(it.store.prune(tomorrow()).await.unwrap(), 1);
    it.store.retry(letter).await.unwrap();
    let after = it.deliveries("mail").await.remove(0);
    assert_eq!((after.message, after.attempt), (before.message, 1));
    assert!(it.deliveries("billing").await.is_empty());
}

#[tokio::test]
async fn a_dead_timer_is_set_again() {
    let it = Fixture::new().await;
    it.store.commit(set("t", 100, "content")).await.unwrap();
    let timer = it.store.timers_due(100, 1).await.unwrap().remove(0);
    let bury = async |version| {
        it.store.timer_failed(timer.id.clone(), version, "no".into(), Verdict::DeadLetter).await.unwrap();
        it.store.newest(&all("timers.billing.dead"), 1).await.unwrap().remove(0).sequence
    };
    let letter = bury(timer.version).await;
    it.store.retry(letter).await.unwrap();
    let again = it.store.timers_due(tomorrow(), 1).await.unwrap().remove(0);
    assert_eq!((&again.id, &again.payload[..], again.attempt), (&timer.id, &b"content"[..], 1));
    assert_eq!((&again.owner, again.correlation.as_str()), (&Some(owner()), "action-1"));
    // One that the component has set meanwhile is not replaced.
    let letter = bury(again.version).await;
    it.store.commit(set("t", tomorrow(), "newer")).await.unwrap();
    let text = wrong(it.store.retry(letter).await);
    assert!(text.contains("has set a timer `t` since"), "{text}");
    let cause = Cause::Timer { id: timer.id.clone(), version: again.version };
    assert!(matches!(it.store.commit(caused_by(cause)).await, Err(Error::Settled)));
}

#[tokio::test]
async fn a_wish_that_cannot_be_fulfilled_says_why() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let replay = async |topic: &str, consumer: Option<&str>| {
        let consumer = consumer.map(|name| name.parse().unwrap());
        wrong(it.store.replay(&all(topic), consumer.as_ref(), false, Place::default()).await)
    };
    assert!(replay("nothing", None).await.contains("there is no topic `nothing`"));
    assert!(replay("news", None).await.contains("nobody consumes `news`"));
    let text = replay("orders", Some("stranger")).await;
    assert!(text.contains("`stranger` does not consume `orders`; billing, mail does"), "{text}");
    // Headers that a component made up do not make a dead letter.
    let mut forged = message("news", "forged");
    forged.headers.push(("x-dead-component".into(), "mail".into()));
    it.publish(forged).await;
    let sequence = it.store.newest(&all("news"), 1).await.unwrap()[0].sequence;
    assert!(wrong(it.store.retry(sequence).await).contains("not a dead letter"));
}
