//! Timers: set, replaced, cancelled, fired once.

use monopod_core::store::{Error, Store, Verdict};
use monopod_core::unit::{Cause, TimerChange};

use crate::support::*;

#[tokio::test]
async fn timers_are_due_soonest_first_with_what_they_were_set_with() {
    let it = Fixture::new().await;
    it.store.commit(set("late", 300, "l")).await.unwrap();
    it.store.commit(set("soon", 100, "s")).await.unwrap();
    assert_eq!(it.told(), [Told::TimerSet(300), Told::TimerSet(100)]);
    let it = it.reopen().await;
    assert_eq!(it.next_timer().await, Some(100));
    assert!(it.store.timers_due(99, 10).await.unwrap().is_empty());
    let due = it.store.timers_due(u64::MAX, 10).await.unwrap();
    let names: Vec<_> = due.iter().map(|timer| &*timer.id.name).collect();
    assert_eq!(names, ["soon", "late"]);
    assert_eq!((&due[0].payload[..], due[0].due_at, due[0].attempt), (&b"s"[..], 100, 1));
    assert_eq!(due[0].owner, Some(owner()));
    assert_eq!(due[0].correlation.as_str(), "action-1");
    assert_eq!(it.store.timers_due(300, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_replaced_timer_does_not_fire_as_the_old_one() {
    let it = Fixture::new().await;
    it.store.commit(set("t", 100, "old")).await.unwrap();
    let old = it.store.timers_due(100, 1).await.unwrap().remove(0);
    it.store.commit(set("t", 200, "new")).await.unwrap();
    assert_eq!(it.next_timer().await, Some(200));
    let fired = caused_by(Cause::Timer { id: old.id.clone(), version: old.version });
    assert!(matches!(it.store.commit(fired).await, Err(Error::Settled)));
    let failed = it.store.timer_failed(old.id, old.version, "x".into(), Verdict::Retry(0)).await;
    assert!(matches!(failed, Err(Error::Settled)));
    assert_eq!(&it.store.timers_due(200, 1).await.unwrap()[0].payload[..], b"new");
}

#[tokio::test]
async fn a_cancelled_timer_is_gone_and_cancelling_nothing_is_no_error() {
    let it = Fixture::new().await;
    it.store.commit(set("t", 100, "x")).await.unwrap();
    for _ in 0..2 {
        let mut unit = unit();
        unit.timers.insert(timer("t"), TimerChange::Cancel);
        it.store.commit(unit).await.unwrap();
    }
    assert_eq!(it.next_timer().await, None);
}

#[tokio::test]
async fn a_timer_fires_once_and_may_set_itself_again() {
    let it = Fixture::new().await;
    it.store.commit(set("t", 100, "1")).await.unwrap();
    let first = it.store.timers_due(100, 1).await.unwrap().remove(0);
    let cause = Cause::Timer { id: first.id.clone(), version: first.version };
    let mut again = caused_by(cause.clone());
    again.timers = set("t", 200, "2").timers;
    it.store.commit(again).await.unwrap();
    let second = it.store.timers_due(200, 1).await.unwrap().remove(0);
    assert_eq!(&second.payload[..], b"2");
    assert!(matches!(it.store.commit(caused_by(cause)).await, Err(Error::Settled)));
    let cause = Cause::Timer { id: second.id, version: second.version };
    it.store.commit(caused_by(cause)).await.unwrap();
    assert_eq!(it.next_timer().await, None);
}

#[tokio::test]
async fn a_failing_timer_comes_back_and_ends_as_a_dead_letter() {
    let it = Fixture::new().await;
    it.store.commit(set("t", 100, "content")).await.unwrap();
    let timer = it.store.timers_due(100, 1).await.unwrap().remove(0);
    it.told();
    let (id, version) = (timer.id, timer.version);
    it.store.timer_failed(id.clone(), version, "first".into(), Verdict::Retry(500)).await.unwrap();
    assert_eq!(it.told(), [Told::TimerSet(500)]);
    let again = it.store.timers_due(500, 1).await.unwrap().remove(0);
    assert_eq!((again.attempt, again.version, again.due_at), (2, version, 500));
    it.store.timer_failed(id, version, "last".into(), Verdict::DeadLetter).await.unwrap();
    assert_eq!(it.next_timer().await, None);
    let dead = it.last("timers.billing.dead").await.unwrap();
    assert_eq!((&dead.payload[..], dead.key.as_deref()), (&b"content"[..], Some("t")));
    assert_eq!(dead.owner, Some(owner()));
    let headers: Vec<_> = dead.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        headers,
        [
            ("x-dead-reason", "last"),
            ("x-dead-component", "billing"),
            ("x-dead-attempts", "2"),
            ("x-dead-first-reason", "first"),
        ]
    );
    assert!(matches!(&it.told()[..], [Told::Published(told, _)] if *told == dead));
}
