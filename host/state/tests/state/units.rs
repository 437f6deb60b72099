//! Units: conflicts, group commit, limits.

use std::task::{Context, Waker};

use monopod_core::store::{Error, Store};
use monopod_core::unit::{MAX_CHANGES, MAX_KEY, MAX_SCAN, MAX_UNIT, MAX_VALUE, Range};

use crate::support::*;

#[tokio::test]
async fn what_is_committed_is_read() {
    let it = Fixture::new().await;
    it.put("a", "1").await;
    it.put("a", "2").await;
    assert_eq!(it.value("a").await.as_deref(), Some("2"));
    let mut unit = unit();
    unit.writes.insert(key("a"), None);
    it.store.commit(unit).await.unwrap();
    assert_eq!(it.value("a").await, None);
}

#[tokio::test]
async fn a_unit_whose_read_was_overtaken_leaves_nothing() {
    let it = Fixture::new().await;
    it.put("a", "1").await;
    let mut late = write("b", "from the late one");
    late.reads.insert(key("a"), it.version("a").await);
    late.messages.push(message("orders", "m1"));
    late.timers = set("t", 5, "x").timers;
    it.put("a", "2").await;
    it.told();
    assert!(matches!(it.store.commit(late).await, Err(Error::Conflict)));
    assert_eq!(it.value("b").await, None);
    assert!(it.deliveries("mail").await.is_empty());
    assert_eq!(it.next_timer().await, None);
    assert_eq!(it.told(), []);
    assert_eq!(it.store.stats().conflicts, 1);
}

#[tokio::test]
async fn a_key_that_was_missing_must_still_be_missing() {
    let it = Fixture::new().await;
    let mut first = write("a", "1");
    first.reads.insert(key("a"), 0);
    it.store.commit(first.clone()).await.unwrap();
    assert!(matches!(it.store.commit(first).await, Err(Error::Conflict)));
}

#[tokio::test]
async fn a_key_removed_and_written_again_has_never_its_old_version() {
    let it = Fixture::new().await;
    it.put("a", "1").await;
    let seen = it.version("a").await;
    let mut remove = unit();
    remove.writes.insert(key("a"), None);
    it.store.commit(remove).await.unwrap();
    it.put("a", "1").await;
    assert!(it.version("a").await > seen);
    let it = it.reopen().await;
    let before = it.version("a").await;
    it.put("a", "1").await;
    assert!(it.version("a").await > before);
}

#[tokio::test]
async fn a_scan_sees_phantoms_changes_and_removals() {
    let it = Fixture::new().await;
    let check = async |name: &str, change: monopod_core::unit::Unit, conflict: bool| {
        for key in ["s/b", "s/d", "s/f"] {
            it.put(key, "1").await;
        }
        let mut late = write("out", "x");
        late.scans.push(it.see(Range { limit: 3, ..range("s/") }).await);
        it.store.commit(change).await.unwrap();
        let found = it.store.commit(late).await;
        assert_eq!(matches!(found, Err(Error::Conflict)), conflict, "{name}: {found:?}");
    };
    check("inserted between", write("s/c", "new"), true).await;
    let mut removed = unit();
    removed.writes.insert(key("s/c"), None);
    check("removed", removed, true).await;
    check("changed", write("s/d", "2"), true).await;
    check("behind the limit", write("s/g", "new"), false).await;
    check("outside the prefix", write("t", "new"), false).await;
}

#[tokio::test]
async fn a_scan_walks_exactly_its_range_in_order() {
    let it = Fixture::new().await;
    let keys = ["a", "a/", "a/1", "a/2", "a/2x", "a/ä", "a/\u{10ffff}", "a0", "b"];
    for key in keys {
        it.put(key, "x").await;
    }
    let check = async |prefix: &str, after: Option<&str>, limit: u32, expect: &[&str]| {
        for descending in [false, true] {
            let range = Range { after: after.map(Into::into), limit, descending, ..range(prefix) };
            let found = it.store.scan(&range).await.unwrap();
            let found: Vec<_> = found.iter().map(|(key, _)| &**key).collect();
            // The model: filter, order, skip, cut.
            let mut model: Vec<_> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
            model.sort_unstable();
            if descending {
                model.reverse();
            }
            model
                .retain(|key| after.is_none_or(|after| if descending { *key < after } else { *key > after }));
            model.truncate(limit as usize);
            assert_eq!(found, model, "{range:?}");
            if !descending {
                assert_eq!(found, expect, "{range:?}");
            }
        }
    };
    check("a/", None, 100, &["a/", "a/1", "a/2", "a/2x", "a/ä", "a/\u{10ffff}"]).await;
    check("a/", Some("a/1"), 2, &["a/2", "a/2x"]).await;
    check("a/", Some("a"), 1, &["a/"]).await;
    check("a/", Some("zzz"), 100, &[]).await;
    check("a/", Some("a/1x"), 1, &["a/2"]).await;
    check("", Some("a0"), 100, &["b"]).await;
    check("", None, 0, &[]).await;
    check("\u{10ffff}", None, 10, &[]).await;

    let window = async |start: Option<&str>, end: Option<&str>, expect: &[&str]| {
        for descending in [false, true] {
            let between = (start.map(Into::into), end.map(Into::into));
            let range = Range { between, descending, ..range("") };
            let found = it.store.scan(&range).await.unwrap();
            let mut found: Vec<_> = found.iter().map(|(key, _)| &**key).collect();
            if descending {
                found.reverse();
            }
            assert_eq!(found, expect, "{range:?}");
        }
    };
    window(Some("a/1"), Some("a/2x"), &["a/1", "a/2"]).await;
    window(Some("a0"), None, &["a0", "b"]).await;
    window(None, Some("a/1"), &["a", "a/"]).await;
    window(Some("b"), Some("a"), &[]).await;
}

#[tokio::test]
async fn buckets_and_components_do_not_see_each_other() {
    let it = Fixture::new().await;
    it.put("a", "mine").await;
    let mut other = key("a");
    other.bucket = "other".parse().unwrap();
    assert_eq!(it.store.get(&other).await.unwrap(), None);
    let mut other = range("");
    other.component = "mail".parse().unwrap();
    assert_eq!(it.store.scan(&other).await.unwrap(), []);
}

#[tokio::test]
async fn of_many_increments_at_once_none_is_lost() {
    let it = Fixture::new().await;
    it.put("n", "0").await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let store = it.store.clone();
            tokio::spawn(async move {
                let mut conflicts = 0_u64;
                loop {
                    let record = store.get(&key("n")).await.unwrap().unwrap();
                    let number: u64 = std::str::from_utf8(&record.value).unwrap().parse().unwrap();
                    let mut unit = write("n", &(number + 1).to_string());
                    unit.reads.insert(key("n"), record.version);
                    match store.commit(unit).await {
                        Ok(()) => return conflicts,
                        Err(Error::Conflict) => conflicts += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let mut conflicts = 0;
    for task in tasks {
        conflicts += task.await.unwrap();
    }
    assert_eq!(it.value("n").await.as_deref(), Some("32"));
    assert_eq!(it.store.stats().conflicts, conflicts);
}

#[tokio::test]
async fn a_unit_over_a_limit_is_refused_and_leaves_nothing() {
    let it = Fixture::new().await;
    let check = async |change: &dyn Fn(&mut monopod_core::unit::Unit), says: &str| {
        let mut unit = write("ok", "x");
        change(&mut unit);
        match it.store.commit(unit).await {
            Err(Error::Refused(text)) => assert!(text.contains(says), "{text}"),
            other => panic!("{says}: {other:?}"),
        }
    };
    let large = |size| Some(vec![0; size].into());
    check(&|unit| drop(unit.writes.insert(key(""), large(1))), "key is empty").await;
    check(&|unit| drop(unit.writes.insert(key(&"k".repeat(MAX_KEY + 1)), None)), "bytes of a key").await;
    check(&|unit| drop(unit.writes.insert(key("a"), large(MAX_VALUE + 1))), "bytes of a value").await;
    let many = |unit: &mut monopod_core::unit::Unit| {
        unit.writes.extend((0..MAX_CHANGES).map(|n| (key(&n.to_string()), None)));
    };
    check(&many, "changes of one unit").await;
    let heavy = |unit: &mut monopod_core::unit::Unit| {
        unit.writes.extend((0..=MAX_UNIT / MAX_VALUE).map(|n| (key(&n.to_string()), large(MAX_VALUE))));
    };
    check(&heavy, "bytes of one unit").await;
    let mut big = message("orders", "m");
    big.payload = vec![0; MAX_VALUE + 1].into();
    check(&move |unit| unit.messages.push(big.clone()), "bytes of a message").await;
    let long = set(&"t".repeat(257), 1, "x");
    check(&move |unit| unit.timers = long.timers.clone(), "timer's name").await;
    assert_eq!(it.value("ok").await, None);

    // The largest that is allowed is taken.
    let mut unit = unit();
    unit.writes.insert(key(&"k".repeat(MAX_KEY)), large(MAX_VALUE));
    it.store.commit(unit).await.unwrap();
    let all = Range { limit: MAX_SCAN + 1, ..range("") };
    assert_eq!(it.store.scan(&all).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_commit_nobody_waits_for_happens_all_the_same_or_not_at_all() {
    let it = Fixture::new().await;
    for n in 0..50 {
        let mut unit = write(&format!("a{n}"), "x");
        unit.writes.extend(write(&format!("b{n}"), "x").writes);
        let mut commit = it.store.commit(unit);
        // Polled once, then dropped: it may have been handed over.
        let _ = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    let it = it.reopen().await;
    for n in 0..50 {
        let (a, b) = (it.value(&format!("a{n}")).await, it.value(&format!("b{n}")).await);
        assert_eq!(a.is_some(), b.is_some(), "{n}");
    }
}
