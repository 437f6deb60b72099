//! Starts that cannot be: exit code 1, and a text that names the fix. And the one fault that is
//! mended by itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Finished, House, Platform, compiled, monopod};

/// `monopod up` that is expected to end by itself.
async fn up(bundles: &Path, state: &Path, listen: &str) -> Finished {
    let platform = monopod_tests::checkout().join("components/trackunit.toml");
    let parts: [OsString; 8] = [
        "up".into(),
        platform.into(),
        "--bundles".into(),
        bundles.into(),
        "--state".into(),
        state.into(),
        "--listen".into(),
        listen.into(),
    ];
    monopod(&std::env::temp_dir(), parts).await
}

/// A free port, Trackunit's bundles.
async fn up_with(state: &Path) -> Finished {
    up(&monopod_tests::bundles(), state, "127.0.0.1:0").await
}

/// A state folder with compiled code in it.
async fn prepared(folder: &Path) -> PathBuf {
    let state = folder.join("state");
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink(compiled().await, state.join("cache")).unwrap();
    state
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_another_to_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = std::net::TcpListener::bind(taken).unwrap();
    let ended = up(&monopod_tests::bundles(), &folder.path().join("state"), &taken.to_string()).await;
    let next = format!("listen = \"127.0.0.1:{}\"", taken.port() + 1);
    ended.refused(1, &[&format!("cannot listen on {taken}"), "another process serves there", &next]);
    drop(held);
    assert!(!folder.path().join("state/state.db").exists());
}

#[tokio::test]
async fn the_development_issuer_is_refused_on_an_address_that_others_can_reach() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let ended = up(&monopod_tests::bundles(), &state, "0.0.0.0:0").await;
    ended.refused(1, &["development", "loopback", "issuer and audience"]);
    assert!(!state.exists());
}

#[tokio::test]
async fn a_state_folder_that_is_a_file_or_cannot_be_made_is_named_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let name = file.to_str().unwrap();
    up_with(&file).await.refused(1, &[name, "--state"]);
    up_with(&file.join("below")).await.refused(1, &[name, "--state"]);
    // Where not even root may make a folder.
    up_with(Path::new("/proc/state")).await.refused(1, &["/proc/state", "--state"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"not a folder");
}

#[tokio::test]
async fn a_damaged_or_missing_bundle_is_named_with_its_file_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let (bundles, state) = (folder.path().join("bundles"), folder.path().join("state"));
    copy(&monopod_tests::bundles(), &bundles);
    let component = monopod_bundle::open(&bundles.join("storage")).unwrap();
    let mut bytes = std::fs::read(&component.wasm).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&component.wasm, bytes).unwrap();
    let file = component.wasm.to_str().unwrap();
    let says =
        ["component `storage`", file, "damaged", "build it again", "monopod bundle", "Nothing was started"];
    up(&bundles, &state, "127.0.0.1:0").await.refused(1, &says);
    let platform = monopod_tests::checkout().join("components/trackunit.toml");
    let arguments = ["check".as_ref(), platform.as_os_str(), "--bundles".as_ref(), bundles.as_os_str()];
    monopod(folder.path(), arguments).await.refused(1, &says);

    std::fs::remove_dir_all(bundles.join("storage")).unwrap();
    let says = ["component `storage`", "there is no bundle here", "build it again"];
    up(&bundles, &state, "127.0.0.1:0").await.refused(1, &says);
    assert!(!state.exists());
}

#[tokio::test]
async fn a_damaged_cache_of_compiled_code_is_made_again_and_the_platform_serves() {
    let house = House::of(&Platform::trackunit()).await;
    let component = monopod_tests::bundle("storage").wasm_digest.replace(':', "-");
    // A cache of its own: others use the shared one.
    let cache = house.host.setup().state.join("cache");
    let shared = std::fs::read_link(&cache).unwrap();
    std::fs::remove_file(&cache).unwrap();
    copy(&shared, &cache);
    // The newest: the shared cache may still have what an older engine compiled.
    let files = std::fs::read_dir(&shared).unwrap().map(|entry| entry.unwrap());
    let code = files
        .filter(|file| file.file_name().to_str().unwrap().starts_with(&component))
        .max_by_key(|file| file.metadata().unwrap().modified().unwrap());
    let code = cache.join(code.expect("the component is in the cache").file_name());
    let good = std::fs::read(&code).unwrap();
    let house = {
        let mut bytes = good.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // It is read-only, and replaced as a copy that is brought back would replace it.
        std::fs::remove_file(&code).unwrap();
        std::fs::write(&code, bytes).unwrap();
        house.again(&Platform::trackunit()).await
    };
    let said = |line: &Value| {
        line["component"] == "storage"
            && line["msg"].as_str().is_some_and(|it| it.contains("compiling again"))
    };
    house.logged("line about the cache", said).await;
    // What runs is whole again, and so is the file: the next start takes it as it is.
    let phone = house.phone("start.cache").await;
    phone.start(&crate::support::small()).await;
    assert_eq!(std::fs::read(&code).unwrap().len(), good.len());
    assert_ne!(std::fs::read(&code).unwrap()[good.len() / 2], good[good.len() / 2] ^ 1);
}

#[tokio::test]
async fn state_of_a_newer_version_or_of_another_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let state = prepared(folder.path()).await;
    let file = state.join("state.db");
    let change = |pragma: &str| {
        let state = Connection::open(&file).unwrap();
        state.execute_batch(pragma).unwrap();
    };
    let of_program =
        |id: i64| change(&format!("PRAGMA application_id = {id}; CREATE TABLE IF NOT EXISTS a (b);"));
    of_program(0x1234_5678);
    let name = file.to_str().unwrap();
    up_with(&state).await.refused(1, &[name, "belongs to another program", "0x12345678", "--state"]);
    // `mono`, as file(1) would show it.
    of_program(0x6d6f_6e6f);
    change("PRAGMA user_version = 999");
    up_with(&state).await.refused(1, &[name, "newer monopod", "999", "start that version again"]);
    let kept: i64 =
        Connection::open(&file).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 999);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(
        &file,
        "this was never a database, and is longer than the hundred bytes of its head; so it is no use here.",
    )
    .unwrap();
    up_with(&state).await.refused(1, &[name, "damaged or is not a state file", "restore it from a backup"]);
}

#[tokio::test]
async fn a_second_process_on_the_same_state_is_refused_and_the_first_serves_on() {
    let house = House::of(&Platform::trackunit()).await;
    let pid = format!("process {}", house.host.pid());
    up_with(&house.host.setup().state).await.refused(1, &["another monopod", &pid, "stop it", "--state"]);
    let phone = house.phone("start.first").await;
    let begun = phone.send(&crate::support::small()).await;
    assert_eq!(phone.ended(&begun.id).await["success"], true);
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
