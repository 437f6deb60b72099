//! The pod in a real Kubernetes of one node, from `helm install` to a deleted pod that serves
//! again. The task program starts the cluster with the images of the host that is measured.
//!
//! Everything runs on this one machine: API server, kubelet, the pod and whoever sends the
//! photos share its cores.

use std::path::Path;
use std::time::{Duration, Instant};

use monopod_tests::client::{Client, Upload};
use monopod_tests::kube::until;
use monopod_tests::photo::Photo;
use monopod_tests::random::Random;
use monopod_tests::release::Release;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::book::Book;
use crate::figure::{Better, Figure, Goal};
use crate::machine;

const NAME: &str = "pod";
/// A namespace for each installation: each begins with an empty volume, which is the slow way,
/// because everything is compiled.
const NAMESPACES: [&str; 5] = ["pod-1", "pod-2", "pod-3", "pod-4", "pod-5"];
/// Pods that are deleted.
const DELETED: usize = 5;
/// Between two tries to get an answer.
const AGAIN: Duration = Duration::from_millis(10);
/// How long one of them may take.
const TRY: Duration = Duration::from_millis(250);
/// How long nothing happens before memory at rest is read.
const QUIET: Duration = Duration::from_secs(3);
/// Rates of photos a second. Each round begins at the goal and climbs or descends until it has
/// the highest that is held and the lowest that is not.
const RATES: [u32; 11] = [10, 20, 30, 40, 50, 60, 75, 100, 125, 150, 200];
const GOAL: u32 = 50;
/// Rounds of that.
const ROUNDS: usize = 5;
/// How long a rate is kept up, and how long after that all have to be over.
const HELD: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(5);
/// Between two readings of memory.
const READING: Duration = Duration::from_millis(500);
/// Connections by which all are asked for in the end: the asking is not what is measured.
const ASKING: usize = 8;
const HERE: &str = "one node, cluster and clients on the same cores";

/// Measures, if there is a cluster.
pub fn measure(runtime: &Runtime, book: &mut Book) {
    if std::env::var_os("MONOPOD_CLUSTER").is_none() {
        return book.say("the pod is not measured: there is no cluster; as root: make bench NAME=pod");
    }
    image(book);
    book.say(&format!("{} installations, each on an empty volume", NAMESPACES.len()));
    let mut installs = Vec::new();
    for namespace in NAMESPACES {
        let release = Release::new(namespace);
        let began = Instant::now();
        release.apply(&[]).good();
        let phone = release.phone();
        runtime.block_on(answered(&phone));
        installs.push(began.elapsed().as_secs_f64());
        if namespace == NAMESPACES[NAMESPACES.len() - 1] {
            book.add(
                NAME,
                figure(
                    "helm install to the first answer",
                    installs,
                    "s",
                    Goal::AtMost(10.0),
                    format!(
                        "{{ping}} over TLS through the service; images present, nothing compiled; {HERE}"
                    ),
                ),
            );
            deleted(runtime, book, &release);
            load(runtime, book, &release);
            return;
        }
    }
}

/// What the image of the host takes, unpacked.
fn image(book: &mut Book) {
    let root = monopod_tests::checkout().join("target/images/host");
    let size = size(&root) as f64 / 1e6;
    let about = "all files, unpacked; the same at each build, hence no repeats".to_owned();
    book.add(NAME, figure("image of the host", vec![size], "MB", Goal::AtMost(60.0), about));
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            meta if meta.is_dir() => size(&entry.path()),
            meta => meta.len(),
        })
        .sum()
}

/// Deletes the pod and waits for the next one, several times.
fn deleted(runtime: &Runtime, book: &mut Book, release: &Release) {
    book.say(&format!("{DELETED} deleted pods, memory at rest after each"));
    let (mut serving, mut ready, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..DELETED {
        let old = release.pods()[0]["metadata"]["name"].as_str().unwrap().to_owned();
        let phone = release.phone();
        let began = Instant::now();
        release.kubectl(&["delete", "pod", &old, "--wait=false"]).good();
        // The old one answers no more once its drain begins; what answers then is the new one.
        let pod = until("new pod", || {
            let pods = release.pods();
            let new = pods.iter().find(|pod| pod["metadata"]["name"] != *old);
            new.and_then(|pod| process(pod["metadata"]["uid"].as_str()?))
        });
        runtime.block_on(answered(&phone));
        serving.push(began.elapsed().as_secs_f64());
        ready.push(age(pod));
        runtime.block_on(async { tokio::time::sleep(QUIET).await });
        resident.push(machine::memory(pod).0);
    }
    let about = |what: &str| format!("{what}; compiled code on the volume; {HERE}");
    book.add(
        NAME,
        figure(
            "pod deleted to serving again",
            serving,
            "s",
            Goal::AtMost(5.0),
            about("drain, new pod, {ping} by a new connection"),
        ),
    );
    book.add(
        NAME,
        figure(
            "container start to the first answer",
            ready,
            "s",
            Goal::AtMost(2.0),
            about("from the process's start to {ping} through the service, waiting included until the old pod lets go of the state"),
        ),
    );
    book.add(
        NAME,
        figure(
            "memory at rest (RSS)",
            resident,
            "MB",
            Goal::AtMost(80.0),
            about("3 s after the first answer"),
        ),
    );
}

/// What a rate did to the pod.
#[derive(Debug)]
struct Trial {
    held: bool,
    /// The most memory, in MB.
    peak: f64,
    /// Processor time of the pod, and of everything else on the machine, for each photo; in ms.
    pod: f64,
    others: f64,
}

/// Whole photos at a fixed rate, whatever the answers take; the highest rate that is held.
fn load(runtime: &Runtime, book: &mut Book, release: &Release) {
    let pods = release.pods();
    let pid = process(pods[0]["metadata"]["uid"].as_str().unwrap()).unwrap();
    let phone = release.phone();
    let at = |rate: u32, round: usize| {
        let trial = runtime.block_on(flows(&phone, rate, pid, round));
        book.say(&format!("{rate} photos a second for {} s: {trial:.1?}", HELD.as_secs()));
        trial
    };
    // What is compiled and grown at first use is there before anything counts.
    at(GOAL, ROUNDS);
    let goal = RATES.iter().position(|rate| *rate == GOAL).unwrap();
    let (mut highest, mut goals) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let first = at(GOAL, round);
        let best = if first.held {
            let higher = RATES[goal + 1..].iter().take_while(|rate| at(**rate, round).held);
            higher.last().copied().unwrap_or(GOAL)
        } else {
            RATES[..goal].iter().rev().copied().find(|rate| at(*rate, round).held).unwrap_or(0)
        };
        highest.push(f64::from(best));
        goals.push(first);
    }
    let about = format!(
        "open loop for {} s at each rate, nothing refused, all analysed within {} s more; photos of 2 KB, each on a \
         connection of its own: TLS, startUpload, PUT, confirmUpload; the client's part on the same cores; {HERE}",
        HELD.as_secs(),
        REST.as_secs()
    );
    let held =
        figure_of("photo flows held", highest, "1/s", Better::Higher, Goal::AtLeast(f64::from(GOAL)), about);
    book.add(NAME, held);
    let each = |of: fn(&Trial) -> f64| goals.iter().map(of).collect::<Vec<_>>();
    let about = |what: &str| format!("{what}, at {GOAL} flows a second; {HERE}");
    let peak = about("most of a round, read twice a second");
    book.add(
        NAME,
        figure("memory under 50 flows/s (RSS)", each(|it| it.peak), "MB", Goal::AtMost(200.0), peak),
    );
    let time = about("of the pod's process, kernel included");
    book.add(NAME, figure("processor time of a flow, pod", each(|it| it.pod), "ms", Goal::None, time));
    let time = about("of the client (TLS from its side, making and checking the photos) and the cluster");
    book.add(
        NAME,
        figure("processor time of a flow, all else", each(|it| it.others), "ms", Goal::None, time),
    );
}

/// Photos at a rate, and what came of them.
async fn flows(phone: &Client, rate: u32, pid: u32, round: usize) -> Trial {
    let mut random = Random::new(u64::from(rate) << 8 | round as u64);
    let mut tasks = tokio::task::JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let used = || (machine::processor(pid), machine::busy());
    let (mut peak, mut read, before) = (machine::memory(pid).0, Instant::now(), used());
    let began = Instant::now();
    while began.elapsed() < HELD {
        tick.tick().await;
        let (phone, photo) = (phone.another(), Photo::small(&mut random, true));
        tasks.spawn(async move { flow(&phone, &photo).await });
        if read.elapsed() > READING {
            peak = peak.max(machine::memory(pid).0);
            read = Instant::now();
        }
    }
    let all = tokio::time::timeout(REST, async {
        let uploads: Vec<Option<Upload>> = tasks.join_all().await;
        let after = used();
        let asked =
            uploads.chunks(uploads.len().div_ceil(ASKING).max(1)).map(|some| all_over(phone.another(), some));
        let over = futures_util::future::join_all(asked).await.into_iter().all(|over| over);
        (over, uploads.len(), after)
    });
    let (held, photos, after) =
        all.await.unwrap_or((false, (HELD.as_secs() * u64::from(rate)) as usize, used()));
    let each = |seconds: f64| seconds * 1e3 / photos as f64;
    let pod = after.0 - before.0;
    Trial { held, peak, pod: each(pod), others: each(after.1 - before.1 - pod) }
}

/// Whether all were accepted and are over, in the end.
async fn all_over(phone: Client, uploads: &[Option<Upload>]) -> bool {
    for upload in uploads {
        let Some(upload) = upload else { return false };
        while !over(&phone, upload).await {
            tokio::time::sleep(AGAIN).await;
        }
    }
    true
}

/// One photo up to its confirmation; none if something was refused or lost.
async fn flow(phone: &Client, photo: &Photo) -> Option<Upload> {
    let upload = phone.start(photo.name, photo.content_type).await.ok()?.ok()?;
    let put = phone.put(&upload, photo.content_type, photo.bytes.clone()).await.ok()?;
    put.status().is_success().then_some(())?;
    phone.confirm(&upload, &photo.bytes).await.ok()?.ok()?;
    Some(upload)
}

async fn over(phone: &Client, upload: &Upload) -> bool {
    let state = phone
        .upload(&upload.id)
        .await
        .map(|found| found["state"].as_str().unwrap_or_default().to_lowercase());
    matches!(state.as_deref(), Ok("completed" | "failed"))
}

/// Asks until `{ping}` is answered, each time by a new connection. One that was begun while no
/// pod was there may hang in the service's rules for long, so none is waited for.
async fn answered(phone: &Client) {
    loop {
        let phone = phone.another();
        let tried = tokio::time::timeout(TRY, phone.graphql("{ ping }", Value::Null)).await;
        if let Ok(Ok((_, answer))) = tried
            && answer["data"] == json!({"ping": "pong"})
        {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The host's process in a pod, as this machine sees it.
fn process(pod: &str) -> Option<u32> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let of_pod = std::fs::read_to_string(entry.path().join("cgroup")).ok()?.contains(pod);
        let host = std::fs::read_to_string(entry.path().join("comm")).ok()?.trim() == "monopod";
        (of_pod && host).then_some(pid)
    })
}

/// How long a process has lived, in seconds.
fn age(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    // The 22nd field, in hundredths of a second since the machine's start.
    let start: f64 = rest.split_whitespace().nth(19).unwrap().parse().unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    uptime.split(' ').next().unwrap().parse::<f64>().unwrap() - start / 100.0
}

fn figure(metric: &'static str, values: Vec<f64>, unit: &'static str, goal: Goal, about: String) -> Figure {
    figure_of(metric, values, unit, Better::Lower, goal, about)
}

fn figure_of(
    metric: &'static str,
    values: Vec<f64>,
    unit: &'static str,
    better: Better,
    goal: Goal,
    about: String,
) -> Figure {
    Figure { metric, values, unit, better, peer: None, goal, about }
}
