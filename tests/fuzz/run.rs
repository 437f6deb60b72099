//! One target for a while: choose, change, try, keep what answered in a new way.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use monopod_tests::random::Random;

use crate::change::change;

/// The longest that any answer may take, on a machine that does other things as well.
const ANSWER: Duration = Duration::from_secs(60);
/// How many inputs are kept to go on from.
const MAX_KEPT: usize = 2_000;

/// What is tried.
pub trait Target {
    /// What to begin with.
    fn seeds(&self) -> Vec<Vec<u8>>;
    /// Pieces that inputs of this kind are made of.
    fn words(&self) -> Vec<Vec<u8>>;
    /// Tries one; the kind of answer, or how it broke a promise.
    fn answer(&mut self, input: &[u8]) -> Result<String, String>;
}

/// Runs it for `time`; whether nothing was found.
pub fn run(name: &str, target: &mut dyn Target, time: Duration) -> bool {
    let folder = monopod_tests::checkout().join("target/fuzz").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let (mut random, seed) = Random::from_environment();
    println!("{name:<10} SEED={seed}, for {time:?}");
    let (mut kept, words) = (target.seeds(), target.words());
    assert!(!kept.is_empty(), "{name} has nothing to begin with");
    let watch = Watch::start(folder.clone());
    let mut seen = HashSet::new();
    let (mut tried, mut found) = (0_u64, 0_u64);
    let seeds = kept.len();
    let began = Instant::now();
    while began.elapsed() < time {
        // The seeds themselves come first.
        let next = usize::try_from(tried).unwrap_or(usize::MAX);
        let input = match kept.get(next).filter(|_| next < seeds) {
            Some(seed) => seed.clone(),
            None => change(&kept, &words, &mut random),
        };
        watch.begin(&input);
        let result = catch_unwind(AssertUnwindSafe(|| target.answer(&input)));
        watch.end();
        tried += 1;
        match result {
            Ok(Ok(kind)) => {
                if seen.insert(kind) && kept.len() < MAX_KEPT {
                    kept.push(input);
                }
            }
            Ok(Err(why)) => {
                found += 1;
                println!("{name:<10} FOUND {why}: {}", save(&folder, &input).display());
            }
            Err(panic) => {
                found += 1;
                let why = panic.downcast_ref::<String>().map(String::as_str);
                let why = why.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
                println!("{name:<10} FOUND panic {why}: {}", save(&folder, &input).display());
            }
        }
    }
    println!("{name:<10} {tried} inputs, {} kinds of answers, {found} findings", seen.len());
    found == 0
}

fn save(folder: &std::path::Path, input: &[u8]) -> PathBuf {
    let file = folder.join(&monopod_tests::digest(input)[7..23]);
    std::fs::write(&file, input).unwrap();
    file
}

/// Ends the process when an answer does not come: nothing else can be done about it from here.
struct Watch {
    /// An input when it is begun, none when it has its answer.
    told: mpsc::Sender<Option<Vec<u8>>>,
}

impl Watch {
    fn start(folder: PathBuf) -> Self {
        let (told, heard) = mpsc::channel::<Option<Vec<u8>>>();
        std::thread::spawn(move || {
            while let Ok(begun) = heard.recv() {
                let Some(input) = begun else { continue };
                if heard.recv_timeout(ANSWER) == Err(mpsc::RecvTimeoutError::Timeout) {
                    println!("FOUND no answer within {ANSWER:?}: {}", save(&folder, &input).display());
                    std::process::abort();
                }
            }
        });
        Self { told }
    }

    fn begin(&self, input: &[u8]) {
        self.told.send(Some(input.to_vec())).unwrap();
    }

    fn end(&self) {
        self.told.send(None).unwrap();
    }
}
