//! What is kept of a run: messages as the systems around know them. The one journey that looks
//! into the state, because these promises are about what other programs will read there.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{House, Platform, sample};

struct Kept {
    topic: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
    payload: Value,
}

fn messages(state: &std::path::Path) -> Vec<Kept> {
    let state = Connection::open(state.join("state.db")).unwrap();
    let mut rows =
        state.prepare("SELECT topic, key, headers, payload FROM messages ORDER BY sequence").unwrap();
    let rows = rows.query_map([], |row| {
        let (headers, payload): (String, Vec<u8>) = (row.get(2)?, row.get(3)?);
        Ok(Kept {
            topic: row.get(0)?,
            key: row.get(1)?,
            headers: serde_json::from_str(&headers).unwrap(),
            payload: serde_json::from_slice(&payload).unwrap(),
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn every_message_of_a_run_has_the_contracts_topic_key_headers_and_payload() {
    let house = House::of(&Platform::trackunit()).await;
    let phone = house.phone("kept").await;
    let (tagged, damaged) = (sample("excavator-tagged.jpg"), sample("damaged.jpg"));
    let good = phone.send(&tagged).await;
    phone.ended(&good.id).await;
    let bad = phone.send(&damaged).await;
    phone.ended(&bad.id).await;
    let (_folder, state) = house.stopped().await;

    let messages = messages(&state);
    let topics: Vec<&str> = messages.iter().map(|message| message.topic.as_str()).collect();
    let run = |answer, end| {
        let before =
            ["tu.images.uploaded", "analysis.started", "analysis.progress", "analysis.recognition.request"];
        [&before[..], &[answer, "analysis.progress", end]].concat()
    };
    let both =
        [run("tu.recognition.completed", "analysis.completed"), run("recognition.failed", "analysis.failed")];
    assert_eq!(topics, both.concat());

    for (number, message) in messages.iter().enumerate() {
        let begun = if number < both[0].len() { &good } else { &bad };
        let Kept { topic, key, headers, payload } = message;
        // Events for subscribers are found by the upload, everything else by the photo.
        let by = match topic.as_str() {
            "analysis.started" | "analysis.progress" | "analysis.completed" | "analysis.failed" => &begun.id,
            _ => &begun.key,
        };
        assert_eq!(key.as_ref(), Some(by), "{topic}");
        let producer = match topic.as_str() {
            "tu.images.uploaded" => "ingestion",
            "tu.recognition.completed" | "recognition.failed" => "vision-adapter",
            _ => "orchestrator",
        };
        let schema = format!("{topic}.v1");
        let expected = [
            ("x-correlation-id", &begun.correlation_id[..]),
            ("x-schema", &schema),
            ("x-producer", producer),
        ];
        let found: BTreeSet<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, BTreeSet::from(expected), "{topic}");
        assert_eq!(
            (&payload["uploadId"], &payload["objectKey"]),
            (&json!(begun.id), &json!(begun.key)),
            "{topic}"
        );
        if topic != "tu.images.uploaded" {
            assert_eq!(payload["correlationId"], begun.correlation_id, "{topic}");
        }
    }

    let uploaded = &messages[0].payload;
    let fields: Vec<&str> = uploaded.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from(["uploadId", "objectKey", "contentType", "bytes", "checksum", "occurredAt"])
    );
    let (size, digest) = (tagged.bytes.len(), monopod_tests::digest(&tagged.bytes));
    assert_eq!((&uploaded["contentType"], &uploaded["bytes"]), (&json!("image/jpeg"), &json!(size)));
    assert_eq!(uploaded["checksum"], json!(digest));
    // The photo that was confirmed is the one that is asked about.
    assert_eq!(messages[3].payload["checksum"], json!(digest));
    let completed = &messages[4].payload;
    assert_eq!(completed["provider"]["name"], "monopod-vision");
    assert_eq!(completed["aggregate"]["name"], "Volvo EC220E");
}

#[tokio::test]
async fn a_message_that_nobody_can_handle_is_kept_with_the_reason_and_the_run_ends_all_the_same() {
    // An adapter without the memory to look at a photo, and one attempt.
    let platform = Platform::trackunit()
        .with("memory      = \"256MiB\"", "memory = \"3MiB\"\nattempts = 1")
        .with("recognition-timeout = \"60s\"", "recognition-timeout = \"1s\"");
    let house = House::of(&platform).await;
    let phone = house.phone("kept.dead").await;
    let begun = phone.send(&sample("excavator-tagged.jpg")).await;
    assert_eq!(phone.ended(&begun.id).await["success"], false);
    let (_folder, state) = house.stopped().await;
    let messages = messages(&state);
    let asked = messages.iter().find(|message| message.topic == "analysis.recognition.request").unwrap();
    let dead: Vec<_> = messages.iter().filter(|message| message.topic.ends_with(".dead")).collect();
    let [dead] = dead[..] else { panic!("{} dead letters", dead.len()) };
    assert_eq!(dead.topic, "analysis.recognition.request.dead");
    assert_eq!((&dead.key, &dead.payload), (&asked.key, &asked.payload), "the message itself, unchanged");
    let header = |name: &str| {
        let found = dead.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name}: {:?}", dead.headers))
    };
    assert_eq!((header("x-dead-component"), header("x-dead-attempts")), ("vision-adapter", "1"));
    assert!(header("x-dead-reason").contains("trap"), "{}", header("x-dead-reason"));
    assert_eq!(header("x-correlation-id"), begun.correlation_id);
}
