//! Clients whose connection is cut in the middle of something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use monopod_tests::client::{CONFIRM, Client, confirmation};
use monopod_tests::host::Setup;
use monopod_tests::photo::Photo;
use monopod_tests::random::Random;
use tokio::io::AsyncWriteExt;

use crate::audit;
use crate::ledger::{Ledger, Step};
use crate::load;

/// How long an analysis may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Confirmations whose client leaves before the answer.
const LEAVERS: usize = 40;
/// When it leaves, in microseconds after the last byte was sent: an answer takes a few thousand.
/// One in four leaves before it has sent all.
const LEAVES: std::ops::Range<u64> = 0..6_000;
const UNFINISHED: u64 = 4;

/// The head of a request over a raw connection.
fn head(client: &Client, method: &str, path: &str, content_type: &str, length: usize) -> String {
    let host = client.url().trim_start_matches("https://");
    let token = client.token().unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\nauthorization: Bearer {token}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_that_breaks_off_on_its_way_is_not_there_and_can_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::trackunit(folder.path());
    let host = setup.start().await;
    let client = Client::new(host.url(), &setup.ca()).login("cut").await;
    let photo = Photo::small(&mut Random::new(1), true);
    let upload = client.start(photo.name, photo.content_type).await.unwrap().unwrap();

    let path = upload.put_url.strip_prefix(host.url()).unwrap();
    let mut cut = client.raw().await;
    cut.write_all(head(&client, "PUT", path, photo.content_type, photo.bytes.len()).as_bytes())
        .await
        .unwrap();
    cut.write_all(&photo.bytes[..photo.bytes.len() / 2]).await.unwrap();
    cut.flush().await.unwrap();
    drop(cut);

    let refusal = client.confirm(&upload, &photo.bytes).await.unwrap().unwrap_err();
    assert_eq!(refusal["errors"][0]["extensions"]["reason"], "NOT_UPLOADED", "{refusal}");
    let sent = client.put(&upload, photo.content_type, photo.bytes.clone()).await.unwrap();
    assert!(sent.status().is_success(), "{sent:?}");
    client.confirm(&upload, &photo.bytes).await.unwrap().unwrap();
    assert_eq!(load::ended(&client, &upload.id, PATIENCE).await["state"], "completed");
    host.stop().await;
    let left = std::fs::read_dir(setup.state.join("blobs/staging")).unwrap().count();
    assert_eq!(left, 0, "what broke off is left in the staging folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_whose_client_left_counts_once_or_not_at_all() {
    let (mut random, seed) = Random::from_environment();
    eprintln!("SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::trackunit(folder.path());
    let host = setup.start().await;
    let client = Client::new(host.url(), &setup.ca()).login("cut").await;
    let ledger = Arc::new(Ledger::default());
    for number in 0..LEAVERS {
        let photo = Photo::small(&mut random, true);
        let upload = client.start(photo.name, photo.content_type).await.unwrap().unwrap();
        ledger.started(0, upload.clone(), photo.clone());
        let sent = client.put(&upload, photo.content_type, photo.bytes.clone()).await.unwrap();
        assert!(sent.status().is_success(), "{sent:?}");
        let request = client.graphql_request(CONFIRM, confirmation(&upload, &photo.bytes));
        let (_, body) = request.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        let head = head(&client, "POST", "/graphql", "application/json", body.len());
        let mut message = [head.as_bytes(), &body].concat();
        if random.one_in(UNFINISHED) {
            message.truncate(usize::try_from(random.number()).unwrap() % message.len());
        }
        let mut cut = client.raw().await;
        cut.write_all(&message).await.unwrap();
        cut.flush().await.unwrap();
        tokio::time::sleep(Duration::from_micros(random.within(LEAVES))).await;
        drop(cut);
        ledger.confirm(number, Step::Unknown);
    }

    // Half of them come back and confirm again; the others never know.
    let mut states = BTreeMap::new();
    let mut happened = 0;
    for (number, entry) in ledger.entries().into_iter().enumerate() {
        let id = &entry.upload.id;
        let before = client.upload(id).await.unwrap()["state"].clone();
        happened += usize::from(before != "pending");
        if number.is_multiple_of(2) {
            client.confirm(&entry.upload, &entry.photo.bytes).await.unwrap().unwrap();
            ledger.confirm(number, Step::Acknowledged);
        } else if before == "pending" {
            states.insert(id.clone(), "pending".to_owned());
            continue;
        }
        let upload = load::ended(&client, id, PATIENCE).await;
        states.insert(id.clone(), upload["state"].as_str().unwrap_or_default().to_owned());
    }
    host.stop().await;
    assert!(
        0 < happened && happened < LEAVERS,
        "SEED={seed}: {happened} of {LEAVERS} counted: nothing was shown"
    );
    println!("note: {happened} of {LEAVERS} confirmations counted although their client had left");
    let wrong = audit::violations(&ledger.entries(), &audit::look(&setup.state), &states);
    assert!(wrong.is_empty(), "SEED={seed}\n{}", wrong.join("\n"));
}
