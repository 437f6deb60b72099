//! Ctrl-C: what is under way is finished within the grace; a second one does not wait.

use std::time::Duration;

use monopod_tests::socket::Closed;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::put::Head;
use crate::support::{House, Platform, small, until};

/// Well within the grace of 20 seconds, and far beyond what ending at once takes.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Reads what the host prints until it says that it stops.
async fn stopping(house: &mut House) {
    loop {
        let line = house.host.line().await.expect("it says that it stops before it ends");
        if line.starts_with("stopping") {
            return;
        }
    }
}

#[tokio::test]
async fn ctrl_c_lets_a_running_upload_end_takes_nothing_new_and_exits_with_0() {
    let mut house = House::of(&Platform::trackunit()).await;
    let phone = house.phone("stop.drain").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let mut socket = phone.socket().await;
    socket.subscribe("all", "subscription { onAnalysisCompleted { uploadId } }", json!({})).await;
    let mut head = Head::put(&phone.client, &begun.put_url, photo.content_type, photo.bytes.len()).await;
    assert_eq!(head.status, 100);
    let (first, second) = photo.bytes.split_at(photo.bytes.len() / 2);
    head.stream.write_all(first).await.unwrap();

    house.host.signal("INT").await;
    stopping(&mut house).await;
    // Subscribers are told to go elsewhere, and the door is closed to others.
    assert_eq!(socket.closed().await, Closed { code: 1001, reason: "Going away".to_owned() });
    let address = house.address();
    until("closed door", || std::net::TcpStream::connect(address).is_err().then_some(())).await;
    assert_eq!(house.host.ended(), None, "it waits for the upload");
    let (status, answer) = head.finish(second).await;
    assert_eq!((status, &answer["size"]), (200, &json!(photo.bytes.len())), "{answer}");
    assert_eq!(house.host.end().await.code(), Some(0));

    // What was taken is there at the next start.
    let house = house.revived().await;
    let phone = house.phone("stop.drain").await;
    phone.confirm(&begun, &photo).await;
    assert_eq!(phone.ended(&begun.id).await["success"], true);
}

#[tokio::test]
async fn a_second_ctrl_c_exits_at_once() {
    let mut house = House::of(&Platform::trackunit()).await;
    let phone = house.phone("stop.twice").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let head = Head::put(&phone.client, &begun.put_url, photo.content_type, photo.bytes.len()).await;
    assert_eq!(head.status, 100, "an upload that would keep it for the whole grace");
    house.host.signal("INT").await;
    stopping(&mut house).await;
    assert_eq!(house.host.ended(), None);
    let asked = std::time::Instant::now();
    house.host.signal("INT").await;
    house.host.end().await;
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn sigterm_drains_like_ctrl_c() {
    // What Kubernetes and systemd send.
    let mut house = House::of(&Platform::trackunit()).await;
    let phone = house.phone("stop.term").await;
    let begun = phone.send(&small()).await;
    house.host.signal("TERM").await;
    stopping(&mut house).await;
    assert_eq!(house.host.end().await.code(), Some(0));
    // The run was under way, perhaps: it ends after the next start, exactly once.
    let house = house.revived().await;
    let phone = house.phone("stop.term").await;
    assert_eq!(phone.ended(&begun.id).await["success"], true);
}

#[tokio::test]
async fn an_upload_that_does_not_end_within_the_grace_is_cut_and_leaves_nothing() {
    let mut house = House::of(&Platform::trackunit().with("drain      = \"20s\"", "drain = \"1s\"")).await;
    let phone = house.phone("stop.grace").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let mut head = Head::put(&phone.client, &begun.put_url, photo.content_type, photo.bytes.len()).await;
    head.stream.write_all(&photo.bytes[..photo.bytes.len() / 2]).await.unwrap();
    house.host.signal("INT").await;
    stopping(&mut house).await;
    let asked = std::time::Instant::now();
    assert_eq!(house.host.end().await.code(), Some(0));
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());

    let house = house.revived().await;
    let phone = house.phone("stop.grace").await;
    let refused = phone.client.confirm(&begun.upload(), &photo.bytes).await.unwrap().unwrap_err();
    assert_eq!(refused["errors"][0]["extensions"]["reason"], "NOT_UPLOADED", "{refused}");
    phone.put(&begun, &photo).await;
    phone.confirm(&begun, &photo).await;
    assert_eq!(phone.ended(&begun.id).await["success"], true);
}
