//! A disk that is full, and has room again: what cannot be kept is refused, nothing that was
//! acknowledged is lost, and nobody has to start anything again.
//!
//! The state folder is a small file system in memory; mounting one takes root.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::Full;
use monopod_tests::client::{Client, Lost};
use monopod_tests::host::{Host, Setup, quiet_port};
use monopod_tests::photo::Photo;
use monopod_tests::random::Random;
use serde_json::Value;

use crate::audit;
use crate::ledger::{Entry, Ledger, Step};
use crate::load;

/// Room for compiled components, state and a few photos.
const SIZE: &str = "64m";
/// How long an analysis may take when there is room again; what waits for a retry waits for
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the disk fills up under load. In every other round the host is killed meanwhile, and
/// started without room.
const ROUNDS: usize = 6;
/// Clients that upload at the same time.
const CLIENTS: usize = 3;
/// When the disk fills up, in milliseconds after a round began, and when there is room again.
const FULL: std::ops::Range<u64> = 20..200;
const ROOM: Duration = Duration::from_millis(500);

/// A small file system.
struct Small(PathBuf);

impl Small {
    /// Mounts it, or says why it cannot be had.
    fn mount(at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={SIZE},mode=0700"), "tmpfs"]).arg(at);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(Self(at.to_owned()));
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Leaves no byte.
    fn fill(&self) -> Filler {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![7; size];
            while file.write_all(&piece).is_ok() {}
        }
        Filler(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A host that a failed test leaves behind still has it open.
        let done = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} could not be unmounted", self.0.display());
    }
}

/// What takes up the room; dropping it makes room.
struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// The state folder on a small file system; none if it cannot be had, which CI does not accept.
fn small(setup: &Setup) -> Option<Small> {
    match Small::mount(&setup.state) {
        Ok(small) => Some(small),
        Err(why) => {
            let text = format!("not shown: a small file system cannot be mounted ({why}); run as root");
            assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{text}");
            println!("note: {text}");
            None
        }
    }
}

async fn get(client: &Client, path: &str) -> (StatusCode, String) {
    let request = http::Request::get(format!("{}{path}", client.url())).body(Full::default()).unwrap();
    let answer = client.send(request).await.unwrap();
    (answer.status(), String::from_utf8_lossy(answer.body()).into_owned())
}

/// Begins an upload. Want of room is the only accepted reason for not doing it.
async fn start(client: &Client, ledger: &Ledger, owner: usize, photo: Photo) -> Result<usize, Refused> {
    let answer = client.start(photo.name, photo.content_type).await?;
    let upload = answer.map_err(|refusal| for_want_of_room(&refusal))?;
    Ok(ledger.started(owner, upload, photo))
}

async fn put(client: &Client, ledger: &Ledger, number: usize) -> Result<(), Refused> {
    let Entry { upload, photo, .. } = ledger.entries().swap_remove(number);
    let sent = client.put(&upload, photo.content_type, photo.bytes).await?;
    if sent.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Err(Refused);
    }
    assert!(sent.status().is_success(), "{sent:?}");
    ledger.put(number, Step::Acknowledged);
    Ok(())
}

async fn confirm(client: &Client, ledger: &Ledger, number: usize) -> Result<(), Refused> {
    let Entry { upload, photo, .. } = ledger.entries().swap_remove(number);
    // Until it is answered.
    ledger.confirm(number, Step::Unknown);
    let answer = client.confirm(&upload, &photo.bytes).await?;
    answer.map_err(|refusal| for_want_of_room(&refusal))?;
    ledger.confirm(number, Step::Acknowledged);
    Ok(())
}

/// Not done: no room, or the host is gone.
#[derive(Debug)]
struct Refused;

impl From<Lost> for Refused {
    fn from(_: Lost) -> Self {
        Self
    }
}

fn for_want_of_room(refusal: &Value) -> Refused {
    assert_eq!(refusal["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{refusal}");
    Refused
}

/// Waits for the end of everything that was confirmed, stops the host, and has the checker look.
async fn end(clients: &[Client], ledger: &Ledger, setup: &Setup, host: Host) {
    let mut states = BTreeMap::new();
    for Entry { owner, upload, confirm, .. } in ledger.entries() {
        let client = &clients[owner];
        let mut state = client.upload(&upload.id).await.unwrap()["state"].clone();
        if confirm == Step::Acknowledged || state != "pending" {
            state = load::ended(client, &upload.id, PATIENCE).await["state"].clone();
        }
        states.insert(upload.id, state.as_str().unwrap_or_default().to_owned());
    }
    host.stop().await;
    let wrong = audit::violations(&ledger.entries(), &audit::look(&setup.state), &states);
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), setup.last_log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_clearly_loses_nothing_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::trackunit(folder.path());
    let Some(small) = small(&setup) else { return };
    let host = setup.start().await;
    let client = Client::new(host.url(), &setup.ca()).login("full").await;
    let (mut random, ledger) = (Random::new(1), Ledger::default());
    let mut photo = || Photo::small(&mut random, true);

    // Before: one upload is through, one waits to be confirmed, one for its photo.
    let through = start(&client, &ledger, 0, photo()).await.unwrap();
    put(&client, &ledger, through).await.unwrap();
    confirm(&client, &ledger, through).await.unwrap();
    let unconfirmed = start(&client, &ledger, 0, photo()).await.unwrap();
    put(&client, &ledger, unconfirmed).await.unwrap();
    let begun = start(&client, &ledger, 0, photo()).await.unwrap();
    let id = ledger.entries()[through].upload.id.clone();
    load::ended(&client, &id, PATIENCE).await;

    let filler = small.fill();
    start(&client, &ledger, 0, photo()).await.unwrap_err();
    put(&client, &ledger, begun).await.unwrap_err();
    confirm(&client, &ledger, unconfirmed).await.unwrap_err();
    let (status, reasons) = get(&client, "/health/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reasons.contains("disk") && reasons.contains("full"), "{reasons}");
    // What needs no room is there as ever.
    assert_eq!(get(&client, "/health/live").await.0, StatusCode::OK);
    let (_, answer) = client.graphql("{ ping }", Value::Null).await.unwrap();
    assert_eq!(answer["data"]["ping"], "pong");
    assert_eq!(client.upload(&id).await.unwrap()["state"], "completed");

    // Room again: the same process goes on, with what it had and with new uploads.
    drop(filler);
    let (status, reasons) = get(&client, "/health/ready").await;
    assert_eq!(status, StatusCode::OK, "{reasons}");
    confirm(&client, &ledger, unconfirmed).await.unwrap();
    put(&client, &ledger, begun).await.unwrap();
    confirm(&client, &ledger, begun).await.unwrap();
    let new = start(&client, &ledger, 0, photo()).await.unwrap();
    put(&client, &ledger, new).await.unwrap();
    confirm(&client, &ledger, new).await.unwrap();
    end(&[client], &ledger, &setup, host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_under_load_loses_nothing_that_was_acknowledged() {
    let (mut random, seed) = Random::from_environment();
    eprintln!("SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::trackunit(folder.path());
    setup.listen = quiet_port(&mut random);
    let Some(small) = small(&setup) else { return };
    let mut host = setup.start().await;
    let phone = Client::new(host.url(), &setup.ca());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(phone.login(&format!("user{number}")).await);
    }
    let (ledger, mut refused) = (Arc::new(Ledger::default()), 0);
    for round in 0..ROUNDS {
        let ended = Instant::now() + 2 * ROOM;
        let tasks = clients.iter().enumerate().map(|(owner, client)| {
            tokio::spawn(uploads(owner, client.clone(), ledger.clone(), random.fork(), ended))
        });
        let tasks: Vec<_> = tasks.collect();
        tokio::time::sleep(Duration::from_millis(random.within(FULL))).await;
        let mut filler = Some(small.fill());
        tokio::time::sleep(ROOM / 2).await;
        if round % 2 == 1 {
            host.kill().await;
            host = setup.spawn();
            // To read what was written last, SQLite may need room of its own: a host that has none
            // ends and says so, and whoever supervises it starts it until there is room.
            if let Err(why) = host.served().await {
                assert!(why.contains("disk is full"), "{why}");
                drop(filler.take());
                host = setup.spawn();
                host.serving().await;
            }
        }
        tokio::time::sleep(ROOM / 2).await;
        drop(filler);
        for task in tasks {
            refused += task.await.unwrap();
        }
    }
    println!(
        "note: SEED={seed}: {} uploads were acknowledged and {refused} steps refused while the disk filled up {ROUNDS} times",
        ledger.count(Step::Acknowledged)
    );
    assert!(refused > 0 && ledger.count(Step::Acknowledged) > 0, "SEED={seed}: nothing was shown");
    end(&clients, &ledger, &setup, host).await;
}

/// Uploads until `ended`; how often something was refused.
async fn uploads(
    owner: usize,
    client: Client,
    ledger: Arc<Ledger>,
    mut random: Random,
    ended: Instant,
) -> usize {
    let mut refused = 0;
    while Instant::now() < ended {
        let photo = Photo::small(&mut random, true);
        let done = async {
            let number = start(&client, &ledger, owner, photo).await?;
            put(&client, &ledger, number).await?;
            confirm(&client, &ledger, number).await
        };
        if done.await.is_err() {
            refused += 1;
            // As a phone does that was told to try again later.
            tokio::time::sleep(Duration::from_millis(random.within(5..25))).await;
        }
    }
    refused
}
