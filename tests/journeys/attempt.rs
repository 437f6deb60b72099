//! `monopod try`: exit codes that scripts can use, and one JSON object for each event.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Finished, House, Platform, monopod, token, trackunit};

/// Tries a photo of the repository, or another file, at a platform.
async fn tried(house: &House, photo: &Path, more: &[&str]) -> Finished {
    let ca = house.ca();
    let (photo, ca) = (photo.to_str().unwrap(), ca.to_str().unwrap());
    let arguments = ["try", photo, "--url", house.url(), "--ca", ca];
    monopod(house.folder.path(), arguments.iter().chain(more)).await
}

fn sample(name: &str) -> std::path::PathBuf {
    monopod_tests::from_environment("MONOPOD_SAMPLES").join(name)
}

fn words(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_photo_that_is_completed_ends_with_0_and_tells_the_machine() {
    let house = trackunit().await;
    let shown = tried(&house, &sample("excavator-tagged.jpg"), &["--user", "attempt.people"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""), "{shown:?}");
    for text in [
        "excavator-tagged.jpg",
        "uploaded",
        "started",
        "Volvo EC220E · excavator · 0.97 (fleet tag)",
        "completed",
    ] {
        assert!(shown.out.contains(text), "{text}: {}", shown.out);
    }
    // A photo in which nothing is found is completed as well.
    let nothing = tried(&house, &sample("empty-yard.webp"), &["--user", "attempt.people"]).await;
    assert_eq!(nothing.code, 0, "{nothing:?}");
}

#[tokio::test]
async fn with_json_every_event_is_an_object_in_a_line() {
    let house = trackunit().await;
    let more = ["--user", "attempt.json", "--json", "--correlation-id", "attempt.action"];
    let told = tried(&house, &sample("excavator-tagged.jpg"), &more).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
    let events = told.json();
    let (first, rest) = events.split_at(2);
    assert_eq!(words(first), ["photo", "upload"]);
    assert!(rest.iter().all(|event| event["milliseconds"].is_u64()), "{rest:?}");
    // The answer to the confirmation may be overtaken by the first events.
    let mut between = words(&rest[..rest.len() - 1]);
    between.sort_unstable();
    assert_eq!(between, ["confirmed", "progress", "progress", "started", "uploaded"]);
    let (upload, last) = (&first[1], rest.last().unwrap());
    assert_eq!((&last["event"], &last["success"]), (&json!("completed"), &json!(true)));
    assert_eq!(last["uploadId"], upload["uploadId"]);
    for event in [upload, last] {
        assert_eq!(event["correlationId"], "attempt.action");
    }
    assert_eq!(last["recognitionPayload"]["aggregate"]["name"], "Volvo EC220E");
}

#[tokio::test]
async fn a_photo_whose_analysis_fails_ends_with_3_and_the_reason() {
    let house = trackunit().await;
    let shown = tried(&house, &sample("damaged.jpg"), &["--user", "attempt.damaged"]).await;
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(shown.out.contains("recognition: the JPEG file is incomplete"), "{}", shown.out);
    let told = tried(&house, &sample("damaged.jpg"), &["--user", "attempt.damaged", "--json"]).await;
    let events = told.json();
    let last = events.last().unwrap();
    assert_eq!((told.code, &last["event"], &last["step"]), (3, &json!("failed"), &json!("recognition")));
    assert!(last["reason"].as_str().unwrap().contains("incomplete"), "{last}");
}

#[tokio::test]
async fn what_cannot_be_sent_ends_with_1_and_says_why_and_what_to_do() {
    let house = trackunit().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for (photo, says) in [
        (folder.path().join("none.jpg"), "there is no such file"),
        (folder.path().to_owned(), "this is not a file"),
        (write("empty.jpg", b""), "the file is empty"),
        (write("notes.txt", b"words"), "this is neither JPEG, PNG nor WebP"),
        (write("large.jpg", &vec![0xff; (10 << 20) + 1]), "make it smaller"),
    ] {
        tried(&house, &photo, &[]).await.refused(1, &[says]);
        let told = tried(&house, &photo, &["--json"]).await;
        let events = told.json();
        assert_eq!((told.code, words(&events)), (1, vec!["error"]), "{told:?}");
        assert!(
            !events[0]["message"].as_str().unwrap().is_empty()
                && !events[0]["fix"].as_str().unwrap().is_empty()
        );
    }
}

#[tokio::test]
async fn a_platform_that_cannot_be_used_ends_with_1_and_says_why_and_what_to_do() {
    let house = trackunit().await;
    let folder = house.folder.path();
    let photo = sample("excavator-tagged.jpg");
    let photo = photo.to_str().unwrap();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("https://localhost:{}", free.port());
    monopod(folder, ["try", photo, "--url", &nobody]).await.refused(1, &["nobody answers", "make run"]);
    // Somebody is there, but nothing says that it is the one that is meant.
    monopod(folder, ["try", photo, "--url", house.url()]).await.refused(1, &["cannot be trusted", "--ca"]);
    let refused = tried(&house, Path::new(photo), &["--token", "no-token"]).await;
    refused.refused(1, &["the token was refused", "--token"]);
    let token = token(&house.anybody(), "attempt.scope", "profile", 60).await;
    let refused = tried(&house, Path::new(photo), &["--token", &token]).await;
    refused.refused(1, &["the token needs the scope `analysis`"]);
    let told = tried(&house, Path::new(photo), &["--token", &token, "--json"]).await;
    assert_eq!(told.json().last().unwrap()["event"], "error");
}

#[tokio::test]
async fn a_result_that_does_not_come_in_time_ends_with_1_and_says_how_to_wait_longer() {
    let house = House::of(&Platform::trackunit().without("vision-adapter")).await;
    let told = tried(&house, &sample("excavator-tagged.jpg"), &["--timeout", "1s", "--json"]).await;
    told.refused(1, &["no result within 1 s", "--timeout"]);
    let events = told.json();
    assert_eq!(words(&events).last(), Some(&"error"), "{events:?}");
    assert!(words(&events).contains(&"started"), "what came was told: {events:?}");
}

#[tokio::test]
async fn up_passes_the_result_of_a_photo_on() {
    let bundles = monopod_tests::bundles();
    let platform = monopod_tests::checkout().join("components/trackunit.toml");
    for (photo, code) in [("excavator-tagged.jpg", 0), ("damaged.jpg", 3), ("none.jpg", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        std::os::unix::fs::symlink(crate::support::compiled().await, state.join("cache")).unwrap();
        let photo = sample(photo);
        let path = |path: &std::path::PathBuf| path.to_str().unwrap().to_owned();
        let arguments = [
            "up",
            &path(&platform),
            "--bundles",
            &path(&bundles),
            "--state",
            &path(&state),
            "--listen",
            "127.0.0.1:0",
            "--try",
            &path(&photo),
            "--once",
        ];
        let ended = monopod(folder.path(), arguments).await;
        assert_eq!(ended.code, code, "{}: {ended:?}", photo.display());
    }
}
