//! Clients that upload without end, and go on as people's phones do when the platform is gone
//! for a moment: some try again, some give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use monopod_tests::client::{Client, Lost};
use monopod_tests::photo::Photo;
use monopod_tests::random::Random;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::ledger::{Ledger, Step};

/// Between two tries of a client whose connection was refused, in milliseconds. Short enough
/// that load is back the moment the host is, long enough to leave it the processor meanwhile.
const PAUSE: std::ops::Range<u64> = 5..25;

/// How many requests of each kind are under way, for saying what a kill met.
#[derive(Debug, Default)]
pub struct UnderWay {
    /// `startUpload`.
    pub start: AtomicUsize,
    /// The photo.
    pub put: AtomicUsize,
    /// `confirmUpload`.
    pub confirm: AtomicUsize,
}

/// One of them.
struct Going<'a>(&'a AtomicUsize);

impl<'a> Going<'a> {
    fn begin(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, SeqCst);
        Self(counter)
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// The clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    /// What they have under way.
    pub under_way: Arc<UnderWay>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sets the clients to work.
    pub fn begin(clients: &[Client], ledger: &Arc<Ledger>, random: &mut Random) -> Self {
        let (stop, under_way) = (Arc::new(AtomicBool::new(false)), Arc::new(UnderWay::default()));
        let tasks = clients.iter().enumerate().map(|(owner, client)| {
            let uploader = Uploader {
                owner,
                client: client.clone(),
                ledger: ledger.clone(),
                random: random.fork(),
                stop: stop.clone(),
                under_way: under_way.clone(),
            };
            tokio::spawn(uploader.run())
        });
        Self { stop: stop.clone(), tasks: tasks.collect(), under_way: under_way.clone() }
    }

    /// Panics if a client met something that is neither an answer it may get nor a crash.
    pub async fn check(&mut self) {
        for task in self.tasks.extract_if(.., |task| task.is_finished()) {
            task.await.expect("a client went on to the end");
        }
    }

    /// Has each finish what it does, and waits for that.
    pub async fn end(self) {
        self.stop.store(true, SeqCst);
        for task in self.tasks {
            task.await.expect("a client went on to the end");
        }
    }
}

struct Uploader {
    owner: usize,
    client: Client,
    ledger: Arc<Ledger>,
    random: Random,
    stop: Arc<AtomicBool>,
    under_way: Arc<UnderWay>,
}

impl Uploader {
    async fn run(mut self) {
        while !self.stop.load(SeqCst) {
            self.upload().await;
        }
    }

    /// One photo, as far as it gets.
    async fn upload(&mut self) {
        // One of five is damaged.
        let whole = !self.random.one_in(5);
        let photo = Photo::small(&mut self.random, whole);
        let begun = {
            let _going = Going::begin(&self.under_way.start);
            self.client.start(photo.name, photo.content_type).await
        };
        let upload = match begun {
            Ok(Ok(upload)) => upload,
            Ok(Err(refusal)) => panic!("startUpload was refused: {refusal}"),
            Err(Lost::Unconnected(_)) => return self.pause().await,
            Err(Lost::Unanswered(_)) => return self.ledger.start_unanswered(),
        };
        let number = self.ledger.started(self.owner, upload.clone(), photo.clone());
        if self.random.one_in(20) {
            // Somebody who changed their mind.
            return;
        }
        loop {
            let sent = {
                let _going = Going::begin(&self.under_way.put);
                self.client.put(&upload, photo.content_type, photo.bytes.clone()).await
            };
            match sent {
                Ok(answer) if answer.status().is_success() => {
                    break self.ledger.put(number, Step::Acknowledged);
                }
                Ok(answer) => panic!("the photo was refused: {} {:?}", answer.status(), answer.body()),
                Err(lost) if !self.again(&lost, number, Ledger::put) => return,
                Err(_) => self.pause().await,
            }
        }
        if self.random.one_in(20) {
            return;
        }
        loop {
            let sent = {
                let _going = Going::begin(&self.under_way.confirm);
                self.client.confirm(&upload, &photo.bytes).await
            };
            match sent {
                Ok(Ok(())) => self.ledger.confirm(number, Step::Acknowledged),
                Ok(Err(refusal)) => panic!("confirmUpload was refused: {refusal}"),
                Err(lost) if !self.again(&lost, number, Ledger::confirm) => return,
                Err(_) => {
                    self.pause().await;
                    continue;
                }
            }
            // Some confirm again all the same: it must change nothing.
            if !self.random.one_in(8) {
                return;
            }
        }
    }

    /// Whether this client tries again after `lost`, having noted what it does not know now.
    fn again(&mut self, lost: &Lost, number: usize, note: fn(&Ledger, usize, Step)) -> bool {
        match lost {
            Lost::Unconnected(_) => !self.stop.load(SeqCst),
            Lost::Unanswered(_) => {
                note(&self.ledger, number, Step::Unknown);
                !self.stop.load(SeqCst) && self.random.one_in(2)
            }
        }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.random.within(PAUSE))).await;
    }
}

/// The state of an upload, asked of the platform until it has one that ends it.
pub async fn ended(client: &Client, id: &str, patience: Duration) -> Value {
    let until = tokio::time::Instant::now() + patience;
    loop {
        let upload = client.upload(id).await.unwrap_or_else(|lost| panic!("upload({id}): {lost}"));
        let state = upload["state"].as_str().unwrap_or_default();
        if matches!(state, "completed" | "failed") {
            return upload;
        }
        assert!(tokio::time::Instant::now() < until, "after {patience:?} upload {id} is still {upload}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
