//! What units that touch the same keys can observe of one another. `docs/state.md` says the
//! same in words.

use std::collections::BTreeMap;

use monopod_core::store::{Error, Store};
use monopod_core::unit::{Range, Unit};
use proptest::prelude::*;

use crate::support::*;

async fn read(it: &Fixture, unit: &mut Unit, name: &str) -> Option<String> {
    unit.reads.insert(key(name), it.version(name).await);
    it.value(name).await
}

#[tokio::test]
async fn an_update_is_never_lost() {
    let it = Fixture::new().await;
    it.put("n", "1").await;
    let (mut one, mut two) = (write("n", "2"), write("n", "3"));
    read(&it, &mut one, "n").await;
    read(&it, &mut two, "n").await;
    it.store.commit(one).await.unwrap();
    assert!(matches!(it.store.commit(two).await, Err(Error::Conflict)));
    assert_eq!(it.value("n").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn two_that_each_read_what_the_other_writes_do_not_both_commit() {
    let it = Fixture::new().await;
    it.put("ann-on-call", "yes").await;
    it.put("bob-on-call", "yes").await;
    let (mut ann, mut bob) = (write("ann-on-call", "no"), write("bob-on-call", "no"));
    read(&it, &mut ann, "bob-on-call").await;
    read(&it, &mut bob, "ann-on-call").await;
    it.store.commit(ann).await.unwrap();
    assert!(matches!(it.store.commit(bob).await, Err(Error::Conflict)));
}

#[tokio::test]
async fn who_only_reads_sees_each_value_as_it_is_when_it_looks() {
    let it = Fixture::new().await;
    let both = |value: &str| {
        let mut unit = write("a", value);
        unit.writes.extend(write("b", value).writes);
        unit
    };
    it.store.commit(both("1")).await.unwrap();
    let a = it.value("a").await;
    it.store.commit(both("2")).await.unwrap();
    let b = it.value("b").await;
    assert_eq!((a.as_deref(), b.as_deref()), (Some("1"), Some("2")), "two moments, each committed");
}

#[tokio::test]
async fn of_two_that_write_without_reading_the_later_one_stays() {
    let it = Fixture::new().await;
    it.store.commit(write("a", "first")).await.unwrap();
    it.store.commit(write("a", "second")).await.unwrap();
    assert_eq!(it.value("a").await.as_deref(), Some("second"));
}

#[tokio::test]
async fn nothing_of_a_unit_is_seen_before_all_of_it_is() {
    let it = Fixture::new().await;
    let writer = {
        let store = it.store.clone();
        tokio::spawn(async move {
            for n in 0..200 {
                let mut unit = write("s/a", &n.to_string());
                unit.writes.extend(write("s/b", &n.to_string()).writes);
                store.commit(unit).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let found = it.store.scan(&range("s/")).await.unwrap();
        let values: Vec<_> = found.iter().map(|(_, record)| &record.value).collect();
        assert!(matches!(values[..], [] | [_, _]), "half a unit: {values:?}");
        assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "torn: {values:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

/// What a unit of the model does: what it reads, whether it scans, what it writes.
#[derive(Debug, Clone)]
struct Plan {
    reads: Vec<u8>,
    scans: bool,
    writes: Vec<(u8, bool)>,
    /// How many others commit between its reads and its commit.
    held_for: usize,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (
        prop::collection::vec(0..4_u8, 0..3),
        any::<bool>(),
        prop::collection::vec((0..4_u8, any::<bool>()), 1..3),
        0..4_usize,
    );
    let plan = plan.prop_map(|(reads, scans, writes, held_for)| Plan { reads, scans, writes, held_for });
    prop::collection::vec(plan, 1..24)
}

/// A unit under way: what it saw, and when it is handed over.
struct Open {
    unit: Unit,
    seen: BTreeMap<String, Option<String>>,
    scanned: Option<Vec<(String, String)>>,
    held_for: usize,
}

/// Runs interleaved units, and again one after another in the order in which they committed:
/// each must have seen what it would have seen then.
async fn interleave(plans: Vec<Plan>) {
    let it = Fixture::new().await;
    let mut open: Vec<Open> = Vec::new();
    let mut model: BTreeMap<String, String> = BTreeMap::new();
    let (mut committed, mut refused) = (0, 0);
    let finish = async |one: Open, model: &mut BTreeMap<String, String>| {
        let serial = one.seen.iter().all(|(name, value)| model.get(name) == value.as_ref());
        let entries = || model.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>();
        let serial = serial && one.scanned.as_ref().is_none_or(|seen| *seen == entries());
        let writes = one.unit.writes.clone();
        match it.store.commit(one.unit).await {
            Ok(()) => {
                assert!(serial, "it saw what was not so when it committed: {:?} {:?}", one.seen, one.scanned);
                for (key, value) in writes {
                    match value {
                        Some(value) => {
                            model.insert(key.key.to_string(), String::from_utf8(value.to_vec()).unwrap())
                        }
                        None => model.remove(&*key.key),
                    };
                }
                true
            }
            Err(Error::Conflict) => false,
            Err(error) => panic!("{error}"),
        }
    };
    for (n, plan) in plans.into_iter().enumerate() {
        let mut one = Open { unit: unit(), seen: BTreeMap::new(), scanned: None, held_for: plan.held_for };
        for name in plan.reads {
            let name = format!("k{name}");
            let value = read(&it, &mut one.unit, &name).await;
            one.seen.insert(name, value);
        }
        if plan.scans {
            let all = Range { limit: 100, ..range("") };
            let found = it.store.scan(&all).await.unwrap();
            one.scanned = Some(
                found
                    .iter()
                    .map(|(key, record)| (key.to_string(), String::from_utf8(record.value.to_vec()).unwrap()))
                    .collect(),
            );
            one.unit.scans.push(it.see(all).await);
        }
        for (name, set) in plan.writes {
            let value = set.then(|| format!("{n}").into());
            one.unit.writes.insert(key(&format!("k{name}")), value);
        }
        open.push(one);
        let (ready, still): (Vec<_>, Vec<_>) = open.into_iter().partition(|one| one.held_for == 0);
        open = still;
        for one in ready {
            if finish(one, &mut model).await { committed += 1 } else { refused += 1 }
        }
        open.iter_mut().for_each(|one| one.held_for -= 1);
    }
    for one in open {
        if finish(one, &mut model).await { committed += 1 } else { refused += 1 }
    }
    assert!(committed > 0 || refused == 0, "the first to commit is never refused");
    let found = it.store.scan(&Range { limit: 100, ..range("") }).await.unwrap();
    let found: BTreeMap<_, _> = found
        .iter()
        .map(|(key, record)| (key.to_string(), String::from_utf8(record.value.to_vec()).unwrap()))
        .collect();
    assert_eq!(found, model);
}

proptest! {
    // Each case is a store of its own, with some commits.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn units_that_write_are_as_if_one_ran_after_another(plans in plans()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(interleave(plans));
    }
}
