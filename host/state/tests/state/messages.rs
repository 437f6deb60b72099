//! Messages: publishing, settling, retries, dead letters, the last one for who comes late.

use monopod_core::identity::Owner;
use monopod_core::name::TopicName;
use monopod_core::store::{After, Error, Past, Retained, Store, Verdict};
use monopod_core::topics::Stored;
use monopod_core::unit::Cause;

use crate::support::*;

#[tokio::test]
async fn a_message_is_published_with_its_unit_to_every_consumer_once() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    it.publish(message("news", "n1")).await;
    let told = it.told();
    let [Told::Published(order, to), Told::Published(news, nobody)] = &told[..] else { panic!("{told:?}") };
    assert!(order.published_at > 0);
    let groups: Vec<_> = to.iter().map(|id| id.group.as_str()).collect();
    assert_eq!((groups, nobody.len(), &*news.id), (vec!["billing", "mail"], 0, "n1"));
    for group in ["billing", "mail"] {
        let found = it.deliveries(group).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].attempt, 1);
        // Everything the publisher said comes back, owner and action included.
        assert_eq!(found[0].message, *order);
        assert!(to.contains(&found[0].id));
    }
    let expect =
        monopod_core::message::Message { published_at: order.published_at, ..message("orders", "m1") };
    assert_eq!(**order, expect);
}

#[tokio::test]
async fn deliveries_come_in_order_and_behind_a_sequence() {
    let it = Fixture::new().await;
    for n in 0..5 {
        it.publish(message("orders", &format!("m{n}"))).await;
    }
    let mail = "mail".parse().unwrap();
    let first = it.store.deliveries(&mail, 0, 2).await.unwrap();
    let rest = it.store.deliveries(&mail, first[1].id.sequence, 100).await.unwrap();
    let ids: Vec<_> = first.iter().chain(&rest).map(|delivery| &*delivery.message.id).collect();
    assert_eq!(ids, ["m0", "m1", "m2", "m3", "m4"]);
    assert!(it.store.deliveries(&mail, u64::MAX, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_without_key_or_owner_comes_back_without() {
    let it = Fixture::new().await;
    let bare =
        monopod_core::message::Message { key: None, owner: None, headers: vec![], ..message("orders", "m") };
    it.publish(bare.clone()).await;
    let found = &it.deliveries("mail").await[0].message;
    assert_eq!((&found.key, &found.owner, &found.headers), (&bare.key, &bare.owner, &bare.headers));
}

#[tokio::test]
async fn a_delivery_is_settled_with_its_unit_and_only_once() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let delivery = it.deliveries("billing").await.remove(0);
    let mut first = handling(&delivery);
    first.writes = write("a", "first").writes;
    it.store.commit(first).await.unwrap();
    assert!(it.deliveries("billing").await.is_empty());
    assert_eq!(it.deliveries("mail").await.len(), 1, "another's delivery is another's");

    let mut second = handling(&delivery);
    second.writes = write("a", "second").writes;
    assert!(matches!(it.store.commit(second).await, Err(Error::Settled)));
    assert_eq!(it.value("a").await.as_deref(), Some("first"));
    let again = it.store.delivery_failed(delivery.id, "late".into(), Verdict::DeadLetter).await;
    assert!(matches!(again, Err(Error::Settled)));
    assert_eq!(it.store.stats().settled, 2);
}

#[tokio::test]
async fn a_conflicting_handler_leaves_its_delivery() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let delivery = it.deliveries("billing").await.remove(0);
    let mut unit = handling(&delivery);
    unit.reads.insert(key("a"), 77);
    assert!(matches!(it.store.commit(unit).await, Err(Error::Conflict)));
    assert_eq!(it.deliveries("billing").await.len(), 1);
    it.store.commit(handling(&delivery)).await.unwrap();
}

#[tokio::test]
async fn the_same_message_published_twice_has_one_effect() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    it.publish(message("orders", "m1")).await;
    let [first, second] = &it.deliveries("billing").await[..] else { panic!() };
    it.store.commit(handling(first)).await.unwrap();
    let mut unit = handling(second);
    unit.writes = write("a", "again").writes;
    unit.messages.push(message("news", "n"));
    it.told();
    assert!(matches!(it.store.commit(unit).await, Err(Error::Settled)));
    assert_eq!(it.value("a").await, None);
    assert_eq!(it.told(), []);
    // And it does not come back.
    let it = it.reopen().await;
    assert!(it.deliveries("billing").await.is_empty());
}

#[tokio::test]
async fn a_failed_delivery_comes_back_later_with_its_count() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let id = it.deliveries("mail").await[0].id.clone();
    let later = tomorrow();
    it.store.delivery_failed(id.clone(), "no route".into(), Verdict::Retry(later)).await.unwrap();
    it.store.delivery_failed(id, "still none".into(), Verdict::Retry(u64::MAX)).await.unwrap();
    let it = it.reopen().await;
    let found = it.deliveries("mail").await.remove(0);
    assert_eq!(found.attempt, 3);
    assert!(found.visible_at > later);
    assert_eq!(it.deliveries("billing").await[0].attempt, 1);
}

#[tokio::test]
async fn a_dead_letter_keeps_reasons_headers_and_content() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    it.told();
    let id = it.deliveries("mail").await[0].id.clone();
    let (sequence, published_at) = (id.sequence, it.deliveries("mail").await[0].message.published_at);
    it.store.delivery_failed(id.clone(), "first\nline".into(), Verdict::Retry(0)).await.unwrap();
    it.store.delivery_failed(id, "gave up".into(), Verdict::DeadLetter).await.unwrap();
    assert!(it.deliveries("mail").await.is_empty());
    let told = it.told();
    let [Told::Published(dead, to)] = &told[..] else { panic!("{told:?}") };
    assert!(to.is_empty());
    assert_eq!(dead.topic.as_str(), "orders.dead");
    let original = message("orders", "m1");
    assert_ne!(dead.id, original.id);
    assert_eq!((&dead.payload, &dead.key, &dead.owner), (&original.payload, &original.key, &original.owner));
    assert_eq!(dead.correlation, original.correlation);
    let headers: Vec<_> = dead.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        headers,
        [
            ("x-schema", "v1"),
            ("x-dead-reason", "gave up"),
            ("x-dead-component", "mail"),
            ("x-dead-attempts", "2"),
            ("x-dead-first-reason", "first line"),
            ("x-dead-topic", "orders"),
            ("x-dead-id", "m1"),
            ("x-dead-sequence", &sequence.to_string()),
            ("x-dead-published-at", &published_at.to_string()),
        ]
    );
    assert_eq!(it.last("orders.dead").await.as_ref(), Some(dead));
    assert_eq!(it.store.stats().dead_letters, 1);
}

#[tokio::test]
async fn an_endless_reason_is_cut() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let id = it.deliveries("mail").await[0].id.clone();
    it.store.delivery_failed(id, "x".repeat(100_000), Verdict::DeadLetter).await.unwrap();
    let dead = it.last("orders.dead").await.unwrap();
    assert!(dead.headers.iter().all(|(_, value)| value.len() <= 1_000));
}

#[tokio::test]
async fn a_late_subscriber_finds_the_last_message_of_its_key_or_action() {
    let it = Fixture::new().await;
    for (id, key, correlation) in [("1", "a", "x"), ("2", "b", "y"), ("3", "a", "y"), ("4", "b", "x")] {
        let mut message = message("news", id);
        message.key = Some(key.into());
        message.correlation = monopod_core::context::CorrelationId::parse(correlation).unwrap();
        it.publish(message).await;
    }
    it.publish(message("orders", "other topic")).await;
    let topic = "news".parse().unwrap();
    let check = async |key: Option<&str>, correlation: Option<&str>, expect: Option<&str>| {
        let retained =
            Retained { key: key.map(Into::into), correlation: correlation.map(Into::into), owner: None };
        let found = it.store.last(&topic, &retained).await.unwrap();
        assert_eq!(found.as_ref().map(|found| &*found.message.id), expect, "{retained:?}");
    };
    check(None, None, Some("4")).await;
    check(Some("a"), None, Some("3")).await;
    check(Some("b"), None, Some("4")).await;
    check(None, Some("y"), Some("3")).await;
    check(Some("b"), Some("y"), Some("2")).await;
    check(Some("c"), None, None).await;
    check(None, Some("z"), None).await;

    // Another user's newer message of the same action does not hide one's own.
    let mut foreign = message("news", "foreign");
    foreign.correlation = monopod_core::context::CorrelationId::parse("x").unwrap();
    foreign.owner = Some(Owner { issuer: "issuer".into(), subject: "stranger".into() });
    it.publish(foreign).await;
    check(None, Some("x"), Some("foreign")).await;
    let own =
        Retained { correlation: Some("x".into()), owner: message("news", "").owner, ..Retained::default() };
    assert_eq!(
        it.store.last(&topic, &own).await.unwrap().map(|found| found.message.id.to_string()).as_deref(),
        Some("4")
    );
}

#[tokio::test]
async fn the_past_of_a_user_is_read_page_by_page_from_a_place_or_a_time() {
    let it = Fixture::new().await;
    let own = message("news", "").owner.unwrap();
    let stranger = Some(Owner { issuer: own.issuer.clone(), subject: "stranger".into() });
    let before = monopod_core::now();
    let mut units: Vec<_> = (0..5).map(|_| unit()).collect();
    for number in 0..2_500 {
        // Every tenth is of the user; the others lie in between.
        let mut message = message(if number % 20 == 0 { "news" } else { "orders" }, &number.to_string());
        if number % 10 != 0 {
            message.owner = stranger.clone();
        }
        units[number / 500].messages.push(message);
    }
    for unit in units {
        it.store.commit(unit).await.unwrap();
    }
    let topics: Vec<_> = ["news", "orders"].iter().map(|name| name.parse().unwrap()).collect();
    let read = async |topics: &[TopicName], mut after: After| {
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let past = Past { topics: topics.to_vec(), owner: own.clone(), after };
            let page = it.store.since(&past).await.unwrap();
            assert!(page.messages.len() <= 100, "a page is bounded");
            pages += 1;
            found.extend(page.messages);
            let Some(next) = page.next else { return (found, pages) };
            after = After::Sequence(next);
        }
    };
    let ids = |found: &[Stored]| found.iter().map(|each| each.message.id.to_string()).collect::<Vec<_>>();
    let (all, pages) = read(&topics, After::Sequence(0)).await;
    let wanted: Vec<_> = (0..250).map(|number| (number * 10).to_string()).collect();
    assert_eq!(ids(&all), wanted);
    assert!(pages > 2, "{pages}");
    assert!(all.is_sorted_by_key(|each| each.sequence));
    assert_eq!(read(&topics, After::Time(before)).await.0, all);
    assert_eq!(read(&topics, After::Time(u64::MAX >> 1)).await.0, []);
    let half = all[124].sequence;
    assert_eq!(ids(&read(&topics, After::Sequence(half)).await.0), wanted[125..]);
    let (news, _) = read(&topics[..1], After::Sequence(half)).await;
    assert!(news.iter().all(|each| each.message.topic.as_str() == "news") && news.len() == 62);
    assert_eq!(read(&topics, After::Sequence(all[249].sequence)).await.0, []);
}

#[tokio::test]
async fn the_listener_is_told_in_commit_order_and_before_the_committer() {
    let it = Fixture::new().await;
    for n in 0..20 {
        it.publish(message("news", &n.to_string())).await;
        let told = it.told();
        assert!(
            matches!(&told[..], [Told::Published(message, _)] if *message.id == *n.to_string()),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn a_delivery_that_never_was_is_settled() {
    let it = Fixture::new().await;
    let id = monopod_core::message::DeliveryId { group: "mail".parse().unwrap(), sequence: 99 };
    let unit = caused_by(Cause::Delivery { id: id.clone(), message: "m".into() });
    assert!(matches!(it.store.commit(unit).await, Err(Error::Settled)));
    assert!(matches!(it.store.delivery_failed(id, "".into(), Verdict::Retry(0)).await, Err(Error::Settled)));
}
