//! Back-ups of a store at work: whole, verified, restored.

use std::fs;

use monopod_core::store::Store;
use monopod_state::{BackupError, export, import, verify};

use crate::backend::open_in;
use crate::support::*;

#[tokio::test]
async fn a_backup_made_while_units_go_on_is_one_moment_and_can_be_restored() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    it.store.commit(set("t", 5, "x")).await.unwrap();
    fs::write(it.home.path().join("blobs.key"), [7; 32]).unwrap();
    let objects = it.home.path().join("blobs/objects/photos");
    fs::create_dir_all(&objects).unwrap();
    fs::write(objects.join("2026+a.jpg"), "photo").unwrap();
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("monday");

    // Units go on meanwhile, each writing two keys.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = {
        let store = it.store.clone();
        tokio::spawn(async move {
            let mut n = 0;
            while !*stopped.borrow() {
                let mut unit = write(&format!("a/{n}"), "1");
                unit.writes.extend(write(&format!("b/{n}"), "1").writes);
                store.commit(unit).await.unwrap();
                n += 1;
            }
        })
    };
    it.put("before", "x").await;
    let (from, into) = (it.home.path().to_owned(), to.clone());
    let made = tokio::task::spawn_blocking(move || export(&from, &into)).await.unwrap().unwrap();
    stop.send(true).unwrap();
    writer.await.unwrap();
    assert_eq!(made.files.len(), 3, "{made:?}");
    assert_eq!(verify(&to).unwrap(), made);
    assert_eq!((made.rows["messages"], made.rows["deliveries"], made.rows["timers"]), (1, 2, 1));

    let state = target.path().join("state");
    import(&to, &state).unwrap();
    let (store, _) = open_in(&state).unwrap();
    assert!(store.get(&key("before")).await.unwrap().is_some());
    let count = async |prefix: &str| store.scan(&range(prefix)).await.unwrap().len();
    assert_eq!(count("a/").await, count("b/").await, "half a unit was backed up");
    assert_eq!(store.deliveries(&"mail".parse().unwrap(), 0, 9).await.unwrap().len(), 1);
    assert_eq!(store.timers_due(5, 9).await.unwrap().len(), 1);
    assert_eq!(fs::read(state.join("blobs/objects/photos/2026+a.jpg")).unwrap(), b"photo");
    assert_eq!(fs::read(state.join("blobs.key")).unwrap(), [7; 32]);
    store.commit(write("after", "x")).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_was_changed_is_not_taken() {
    let it = Fixture::new().await;
    it.put("a", &"x".repeat(50_000)).await;
    let target = tempfile::tempdir().unwrap();
    let check = |name: &str, damage: &dyn Fn(&std::path::Path)| {
        let to = target.path().join(name);
        export(it.home.path(), &to).unwrap();
        damage(&to);
        let error = verify(&to).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. } | BackupError::Io { .. }), "{name}: {error}");
        let state = target.path().join(format!("{name}-state"));
        import(&to, &state).unwrap_err();
        assert!(!state.join("state.db").exists(), "{name}");
    };
    check("flipped", &|to| {
        let mut bytes = fs::read(to.join("state.db")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(to.join("state.db"), bytes).unwrap();
    });
    check("cut", &|to| {
        let bytes = fs::read(to.join("state.db")).unwrap();
        fs::write(to.join("state.db"), &bytes[..bytes.len() / 2]).unwrap();
    });
    check("missing", &|to| fs::remove_file(to.join("state.db")).unwrap());
    check("listless", &|to| fs::write(to.join("backup.json"), "{}").unwrap());
    check("outside", &|to| {
        let text = fs::read_to_string(to.join("backup.json")).unwrap();
        fs::write(to.join("backup.json"), text.replace("\"state.db\"", "\"../state.db\"")).unwrap();
    });
}

#[tokio::test]
async fn nothing_is_overwritten_and_a_state_in_use_can_be_verified() {
    let it = Fixture::new().await;
    it.put("a", "1").await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("backup");
    export(it.home.path(), &to).unwrap();
    assert!(matches!(export(it.home.path(), &to), Err(BackupError::InTheWay(_))));
    assert!(matches!(export(target.path(), &target.path().join("x")), Err(BackupError::Nothing(_))));
    // In use by this process; and a stopped one that holds a state.
    assert!(matches!(import(&to, it.home.path()), Err(BackupError::Open(_))));
    assert_eq!(verify(it.home.path()).unwrap().rows["kv"], 1);
    let home = it.home;
    drop(it.store);
    assert!(matches!(import(&to, home.path()), Err(BackupError::InTheWay(_))));
}
