//! Somebody who operates the platform: looks at topics, finds what could not be handled, has
//! it handled again, and makes a back-up; all while it runs.

use std::path::Path;
use std::process::Command;

use monopod_tests::client::Client;
use monopod_tests::host::{Host, Setup};
use serde_json::Value;

/// A command against the running platform: whether it went well, and what it printed.
fn monopod(setup: &Setup, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(std::env::var_os("MONOPOD_BIN").unwrap());
    command.args(arguments).args(["--state", setup.state.to_str().unwrap()]);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// The same with `--json`: an object for each line.
fn json(setup: &Setup, arguments: &[&str]) -> Vec<Value> {
    let (ok, text) = monopod(setup, &[arguments, &["--json"]].concat());
    assert!(ok, "{arguments:?}: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until `dlq list` has so many lines.
async fn dead(setup: &Setup, count: usize) -> Vec<Value> {
    for _ in 0..600 {
        let found = json(setup, &["dlq", "list"]);
        if found.len() == count {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("there are not {count} dead letters: {:?}", json(setup, &["dlq", "list"]));
}

async fn start(folder: &Path) -> (Setup, Host) {
    let setup = Setup::trackunit(folder);
    let host = setup.start().await;
    (setup, host)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_handled_is_found_explained_and_handled_again() {
    let folder = tempfile::tempdir().unwrap();
    let (setup, host) = start(folder.path()).await;
    const TOPIC: &str = "analysis.recognition.request";
    let id = json(&setup, &["publish", TOPIC, r#"{"bad":1}"#, "--key", "k1", "--header", "X-Schema=v1"]);
    let id = id[0]["id"].as_str().unwrap();
    let letter = dead(&setup, 1).await.remove(0);
    let headers = &letter["headers"];
    assert_eq!((headers["x-dead-topic"].as_str(), headers["x-dead-id"].as_str()), (Some(TOPIC), Some(id)));
    assert_eq!((headers["x-schema"].as_str(), letter["key"].as_str()), (Some("v1"), Some("k1")));
    let number = letter["sequence"].to_string();
    let (_, shown) = monopod(&setup, &["dlq", "show", &number]);
    for part in ["vision-adapter", "first error", "objectKey", "x-schema: v1", r#"{"bad":1}"#] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }

    // Retried it fails again, as a new letter of the same message.
    let (ok, text) = monopod(&setup, &["dlq", "retry", &number]);
    assert!(ok && text.contains("1 delivered again"), "{text}");
    let again = loop {
        let again = dead(&setup, 1).await.remove(0);
        if again["sequence"] != letter["sequence"] {
            break again;
        }
    };
    assert_eq!(again["headers"]["x-dead-id"], headers["x-dead-id"]);
    let (ok, text) = monopod(&setup, &["dlq", "retry", &number]);
    assert!(!ok && text.contains("monopod dlq list"), "{text}");

    let waiting = |setup: &Setup| {
        let topics = json(setup, &["topics"]);
        let topic = topics.iter().find(|topic| topic["topic"] == TOPIC).unwrap();
        (topic["messages"].as_u64(), topic["consumers"][0]["consumer"].as_str().unwrap().to_owned())
    };
    assert_eq!(waiting(&setup), (Some(1), "vision-adapter".to_owned()));
    let (ok, text) = monopod(&setup, &["replay", "analysis.started"]);
    assert!(!ok && text.contains("nobody consumes"), "{text}");
    host.stop().await;
    let (ok, text) = monopod(&setup, &["topics"]);
    assert!(!ok && text.contains("no platform runs"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_has_no_second_effect_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (setup, host) = start(folder.path()).await;
    let client = Client::new(host.url(), &setup.ca()).login("ann").await;
    let photo = monopod_tests::photo::Photo::small(&mut monopod_tests::random::Random::new(1), true);
    let upload = client.start(photo.name, photo.content_type).await.unwrap().unwrap();
    let sent = client.put(&upload, photo.content_type, photo.bytes.clone()).await.unwrap();
    assert!(sent.status().is_success(), "{sent:?}");
    client.confirm(&upload, &photo.bytes).await.unwrap().unwrap();
    let completed = || json(&setup, &["tail", "analysis.completed"]).len();
    for _ in 0..600 {
        if completed() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(completed(), 1);
    let done = json(&setup, &["replay", "tu.images.uploaded", "--from", "1h"]).remove(0);
    assert_eq!((done["delivered"].as_u64(), done["handled"].as_u64()), (Some(0), Some(1)), "{done}");
    let done = json(&setup, &["replay", "tu.images.uploaded", "--again"]).remove(0);
    assert_eq!(done["delivered"].as_u64(), Some(1), "{done}");

    // A back-up of it, made while it runs, is whole and starts somewhere else.
    let backup = folder.path().join("backup");
    let (ok, text) = monopod(&setup, &["state", "export", backup.to_str().unwrap()]);
    assert!(ok && text.contains("1 blobs"), "{text}");
    host.stop().await;
    std::fs::remove_dir_all(&setup.state).unwrap();
    let (ok, text) = monopod(&setup, &["state", "import", backup.to_str().unwrap()]);
    assert!(ok, "{text}");
    let host = setup.start().await;
    let found = json(&setup, &["tail", "analysis.completed"]);
    assert_eq!(found[0]["key"].as_str(), Some(upload.id.as_str()), "{found:?}");
    host.stop().await;
}
