//! Photos that never stop coming while a release is upgraded, rolled back and killed, and the
//! account of them in the end: what clients were told, against what stands in the state file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use monopod_tests::client::{Client, Lost, Upload};
use monopod_tests::kube::{LOOK, PATIENCE};
use monopod_tests::photo::Photo;
use monopod_tests::random::Random;

use crate::audit::Found;
use crate::ledger::{Entry, Ledger, Step};
use crate::support::ended;

/// Phones. Each has one photo under way at a time, so a kill meets up to so many.
const PHONES: u64 = 3;
/// Between two photos of a phone: the cluster has to share its two cores with them.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a phone waits for an answer before it takes its connection for dead: packets to a
/// pod that is gone are answered by nobody.
const ANSWER: Duration = Duration::from_secs(3);
/// How many more photos have to be accepted before the next thing is done to the release.
const MORE: usize = 5;

/// Phones that send photos.
pub struct Traffic {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    /// Begins.
    pub fn begin(phone: &Client) -> Self {
        let (ledger, stop) = (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)));
        let tasks = (0..PHONES).map(|seed| {
            let (phone, ledger, stop) = (phone.another().within(ANSWER), ledger.clone(), stop.clone());
            tokio::spawn(async move {
                let mut random = Random::new(seed);
                while !stop.load(SeqCst) {
                    photo(&phone, &ledger, Photo::small(&mut random, true)).await;
                    tokio::time::sleep(PAUSE).await;
                }
            })
        });
        Self { tasks: tasks.collect(), ledger: ledger.clone(), stop: stop.clone() }
    }

    /// How many were accepted so far.
    pub fn accepted(&self) -> usize {
        self.ledger.count(Step::Acknowledged)
    }

    /// Waits until some more are accepted, so that what comes next meets them under way.
    pub async fn flows(&self) {
        let (before, began) = (self.accepted(), Instant::now());
        while self.accepted() < before + MORE {
            assert!(began.elapsed() < PATIENCE, "photos are accepted no more");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// No photo is begun from now on; all that were, as their phones know them.
    pub async fn end(self) -> Vec<Entry> {
        self.stop.store(true, SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.ledger.entries()
    }
}

/// One photo, as far as it gets. What is refused or not answered is given up; only an accepted
/// confirmation is a promise.
async fn photo(phone: &Client, ledger: &Ledger, photo: Photo) {
    let upload: Upload = match phone.start(photo.name, photo.content_type).await {
        Ok(Ok(upload)) => upload,
        // A pod that drains takes no more of them.
        Ok(Err(_)) | Err(Lost::Unconnected(_)) => return,
        Err(Lost::Unanswered(_)) => return ledger.start_unanswered(),
    };
    let number = ledger.started(0, upload.clone(), photo.clone());
    match phone.put(&upload, photo.content_type, photo.bytes.clone()).await {
        Ok(answer) if answer.status().is_success() => ledger.put(number, Step::Acknowledged),
        _ => return ledger.put(number, Step::Unknown),
    }
    match phone.confirm(&upload, &photo.bytes).await {
        Ok(Ok(())) => ledger.confirm(number, Step::Acknowledged),
        Err(Lost::Unconnected(_)) => {}
        Ok(Err(_)) | Err(Lost::Unanswered(_)) => ledger.confirm(number, Step::Unknown),
    }
}

/// Waits until everything that was accepted is over, by asking for each.
pub async fn settled(phone: &Client, entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.confirm == Step::Acknowledged) {
        assert_eq!(ended(phone, &entry.upload).await, "completed", "{}", entry.upload.id);
    }
}

/// Counts by the state file, which is read with SQL of the audit's own.
pub fn counted(state: &Path, entries: &[Entry]) {
    let found = crate::audit::look(state);
    let wrong: Vec<String> = entries.iter().filter_map(|entry| wrong(entry, &found)).collect();
    assert!(
        wrong.is_empty(),
        "{} wrong, the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(found.dead.is_empty(), "dead letters: {:?}", found.dead);
    assert_eq!((found.unfinished(), found.deliveries, found.timers), (0, 0, 0), "something is left over");
}

/// What is not as it was promised: an accepted photo has exactly one start and one end; one
/// that was confirmed without an answer has both or neither; another has none.
fn wrong(entry: &Entry, found: &Found) -> Option<String> {
    let id = &entry.upload.id;
    let uploaded = found.uploaded.get(id).copied().unwrap_or_default();
    let started = found.started.get(id).copied().unwrap_or_default();
    let ends = found.ends.get(id).map(Vec::as_slice).unwrap_or_default();
    let complete = uploaded == 1 && started == 1 && ends == ["completed"];
    let absent = uploaded == 0 && started == 0 && ends.is_empty();
    let kept = match entry.confirm {
        Step::Acknowledged => complete,
        Step::Unknown => complete || absent,
        Step::Unsent => absent,
    };
    (!kept).then(|| {
        format!(
            "{id}, confirmation {:?}: {uploaded} x uploaded, {started} x started, {ends:?}",
            entry.confirm
        )
    })
}
