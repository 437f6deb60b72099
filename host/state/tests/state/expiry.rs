//! Values that end by themselves.

use monopod_core::now;
use monopod_core::store::{Error, Store};

use crate::support::*;

const HOUR: u64 = 3_600_000;

fn until(name: &str, at: u64) -> monopod_core::unit::Unit {
    let mut unit = write(name, "x");
    unit.expiries.insert(key(name), at);
    unit
}

#[tokio::test]
async fn a_value_is_there_until_it_expires_and_then_for_nobody() {
    let it = Fixture::new().await;
    it.store.commit(until("late", now() + HOUR)).await.unwrap();
    it.store.commit(until("over", now() - 1)).await.unwrap();
    assert!(it.value("late").await.is_some());
    assert_eq!(it.value("over").await, None);
    let found = it.store.scan(&range("")).await.unwrap();
    assert_eq!(found.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["late"]);
    // It is as if it were not there: a unit that saw nothing may write it.
    let mut unit = write("over", "new");
    unit.reads.insert(key("over"), 0);
    unit.scans.push(it.see(range("o")).await);
    it.store.commit(unit).await.unwrap();
    assert_eq!(it.value("over").await.as_deref(), Some("new"), "and what it wrote stays");
}

#[tokio::test]
async fn a_unit_that_read_a_value_which_expired_since_runs_again() {
    let it = Fixture::new().await;
    it.put("a", "x").await;
    let mut late = write("b", "from a");
    late.reads.insert(key("a"), it.version("a").await);
    // What a clock does in its own time.
    it.store.commit(until("a", now() - 1)).await.unwrap();
    assert!(matches!(it.store.commit(late).await, Err(Error::Conflict)));
}

#[tokio::test]
async fn expired_values_are_removed_and_no_others() {
    let it = Fixture::new().await;
    for n in 0..60 {
        let mut all = until(&format!("{n}"), now() - 1);
        all.writes.extend(write(&format!("stays-{n}"), "y").writes);
        it.store.commit(all).await.unwrap();
    }
    it.store.commit(until("later", now() + HOUR)).await.unwrap();
    it.store.prune(now()).await.unwrap();
    // A clock put back shows what is left of them.
    let rows = it.home.count(&it.store, "kv").await;
    assert_eq!(rows, 61);
}
