//! A database behind the state: processes that die, a server that dies, connections that are cut
//! before and after COMMIT, a process that was taken over.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use monopod_core::store::{Error, Store};
use monopod_state::{OpenError, PostgresStore, Server};
use monopod_tests::proxy::Proxy;
use monopod_tests::services::postgres::Postgres;

use crate::backend;
use crate::support::*;

/// Tells the child where its database is: port and name.
const CHILD: &str = "MONOPOD_POSTGRES_TEST_CHILD";
/// Tasks that commit at the same time, so that batches hold several units.
const TASKS: usize = 8;

async fn attempt(server: &Server) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(server.clone(), topology(), Arc::new(Listener::default())).await
}

async fn opened(server: &Server) -> Arc<PostgresStore> {
    Arc::new(backend::open(server, topology(), Arc::new(Listener::default())).await)
}

/// Not a test by itself: what the next test starts as a process, and kills.
#[test]
fn child() {
    let Ok(at) = std::env::var(CHILD) else { return };
    let (port, database) = at.split_once('/').unwrap();
    let server = Server {
        host: "127.0.0.1".to_owned(),
        port: port.parse().unwrap(),
        database: database.to_owned(),
        user: "monopod".to_owned(),
        password: None,
        secure: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = opened(&server).await;
        println!("\nopen");
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(commit_for_ever(store.clone(), task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn commit_for_ever(store: Arc<PostgresStore>, task: usize) {
    for n in 0.. {
        let id = format!("{task}-{n}-{}", std::process::id());
        let mut unit = write(&format!("a/{id}"), "1");
        unit.writes.extend(write(&format!("b/{id}"), &"2".repeat(2_000)).writes);
        unit.messages.push(message("orders", &id));
        unit.timers = set(&id, 1, "x").timers;
        store.commit(unit).await.unwrap();
        println!("\nack {id}");
    }
}

/// A process that writes to `server`, once it does.
fn start(server: &Server) -> (std::process::Child, std::io::Lines<BufReader<std::process::ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "postgres::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{}/{}", server.port, server.database))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "open" {}
    (child, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_and_another_takes_over_within_five_seconds() {
    let postgres = tokio::task::spawn_blocking(backend::shared).await.unwrap();
    let server = postgres.database();
    let mut acknowledged = Vec::new();
    for answers in [1, 60, 200] {
        let (mut child, mut lines) = start(&server);
        while acknowledged.len() < answers {
            let line = lines.next().unwrap().unwrap();
            acknowledged.extend(line.strip_prefix("ack ").map(str::to_owned));
        }
        // The second is told who the first is.
        let refused = attempt(&server).await.map(drop).unwrap_err();
        let process = format!("process {} on", child.id());
        assert!(refused.to_string().contains(&process), "{refused}");
        child.kill().unwrap();
        child.wait().unwrap();
        let killed = Instant::now();
        let mut rest: Vec<_> = lines.map_while(Result::ok).collect();
        // The last line may be cut: it was not heard.
        rest.pop();
        acknowledged.extend(rest.iter().filter_map(|line| line.strip_prefix("ack ").map(str::to_owned)));

        let store = opened(&server).await;
        println!("taken over after {:?}", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
        for id in &acknowledged {
            assert!(store.get(&key(&format!("a/{id}"))).await.unwrap().is_some(), "{id} is lost");
        }
        let count = |sql: &str| postgres.psql(&server.database, sql).unwrap();
        let values = count("SELECT count(*) FROM monopod.kv WHERE key LIKE 'a/%'");
        for (what, sql) in [
            ("half a unit", "SELECT count(*) FROM monopod.kv WHERE key LIKE 'b/%'"),
            ("messages", "SELECT count(DISTINCT id) FROM monopod.messages"),
            ("deliveries", "SELECT count(*) FROM monopod.deliveries WHERE consumer = 'mail'"),
            ("timers", "SELECT count(*) FROM monopod.timers"),
        ] {
            assert_eq!(count(sql), values, "{what}");
        }
        store.close().await;
    }
}

/// Adds one to a value of its own, again and again, and counts what was acknowledged.
struct Load {
    ended: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    fn on(store: &Arc<PostgresStore>) -> Self {
        let (ended, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = |number: usize| {
            let (store, ended, acknowledged) = (store.clone(), ended.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let name = format!("n{number}");
                let mut mine = 0_u64;
                while !ended.load(Relaxed) {
                    let Ok(found) = store.get(&key(&name)).await else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    };
                    let version = found.as_ref().map_or(0, |record| record.version);
                    let stands = found.map_or(0, |record| {
                        std::str::from_utf8(&record.value).unwrap().parse::<u64>().unwrap()
                    });
                    // Whatever was told to have failed has not happened, whatever was told to
                    // have happened has: at every moment.
                    assert_eq!(stands, mine, "{name}");
                    let mut unit = write(&name, &(stands + 1).to_string());
                    unit.reads.insert(key(&name), version);
                    unit.messages.push(message("news", &format!("{name}-{stands}")));
                    match store.commit(unit).await {
                        Ok(()) => {
                            mine += 1;
                            acknowledged.fetch_add(1, Relaxed);
                        }
                        Err(Error::Unavailable(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                mine
            })
        };
        let tasks = (0..TASKS).map(task).collect();
        Self { ended, acknowledged, tasks }
    }

    /// Waits until so many more are acknowledged.
    async fn more(&self, number: u64) {
        let (from, began) = (self.acknowledged.load(Relaxed), Instant::now());
        while self.acknowledged.load(Relaxed) < from + number {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing goes on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends it, and compares what was acknowledged with what is there.
    async fn check(self, store: &PostgresStore, postgres: &Postgres, server: &Server) -> u64 {
        self.ended.store(true, Relaxed);
        let mut all = 0;
        for (number, task) in self.tasks.into_iter().enumerate() {
            let mine = task.await.unwrap();
            let began = Instant::now();
            // A reader that found the database away looks again within two seconds.
            let found = loop {
                match store.get(&key(&format!("n{number}"))).await {
                    Err(Error::Unavailable(_)) if began.elapsed() < Duration::from_secs(5) => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    found => break found.unwrap(),
                }
            };
            let stands =
                found.map_or(0, |record| std::str::from_utf8(&record.value).unwrap().parse::<u64>().unwrap());
            assert_eq!(stands, mine);
            all += mine;
        }
        let messages =
            postgres.psql(&server.database, "SELECT count(*), count(DISTINCT id) FROM monopod.messages");
        assert_eq!(messages.unwrap(), format!("{all}|{all}"));
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_under_load_comes_back_and_nothing_is_lost_or_doubled() {
    let mut postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let server = postgres.database();
    let store = opened(&server).await;
    let load = Load::on(&store);
    for round in 0..5 {
        load.more(100).await;
        postgres.kill();
        if round == 0 {
            let said = store.writable().await.unwrap_err().to_string();
            assert!(said.contains("unavailable"), "{said}");
        }
        let killed = Instant::now();
        tokio::task::block_in_place(|| postgres.again());
        load.more(1).await;
        println!("goes on {:?} after it was killed", killed.elapsed());
    }
    store.writable().await.unwrap();
    let all = load.check(&store, &postgres, &server).await;
    println!("{all} units, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_before_or_after_commit_leaves_no_doubt() {
    let postgres = tokio::task::spawn_blocking(backend::shared).await.unwrap();
    let server = postgres.database();
    let proxy = Proxy::before(server.port);
    let behind = Server { port: proxy.port(), ..server.clone() };
    let store = opened(&behind).await;
    let load = Load::on(&store);
    let rounds = if std::env::var_os("FULL").is_some() { 1_000 } else { 60 };
    for round in 0..rounds {
        load.more(20).await;
        // What the process says arrives, the answers do not: also of a COMMIT.
        if round % 2 == 0 {
            proxy.hold();
            tokio::time::sleep(Duration::from_millis(round % 7)).await;
        }
        proxy.cut();
        proxy.release();
    }
    load.more(20).await;
    let all = load.check(&store, &postgres, &server).await;
    println!("{all} units, each once, over {rounds} cuts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_taken_over_cannot_commit_any_more() {
    let postgres = tokio::task::spawn_blocking(backend::shared).await.unwrap();
    let server = postgres.database();
    let first = opened(&server).await;
    first.commit(write("a", "first")).await.unwrap();
    // As if it had been silent for longer than its lease. It says again and again that it lives.
    let second = loop {
        let over = "UPDATE monopod.counter SET until = now() - interval '1 second'";
        assert!(postgres.sql(&server.database, over));
        if let Ok(second) = attempt(&server).await {
            break second;
        }
    };
    let refused = first.commit(write("a", "late")).await.unwrap_err().to_string();
    assert!(refused.contains("another process has taken over"), "{refused}");
    assert!(first.writable().await.is_err());
    assert_eq!(&second.get(&key("a")).await.unwrap().unwrap().value[..], b"first");
    second.commit(write("a", "second")).await.unwrap();
    first.close().await;
    second.commit(write("a", "still the second's")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_later_version_or_of_another_program_are_refused() {
    let postgres = tokio::task::spawn_blocking(backend::shared).await.unwrap();
    let server = postgres.database();
    opened(&server).await.close().await;
    assert!(postgres.sql(&server.database, "UPDATE monopod.about SET format = 99, written_by = '9.9.9'"));
    let said = attempt(&server).await.map(drop).unwrap_err().to_string();
    assert!(said.contains("newer monopod (9.9.9, format 99"), "{said}");

    let foreign = postgres.database();
    assert!(postgres.sql(&foreign.database, "CREATE SCHEMA monopod"));
    let said = attempt(&foreign).await.map(drop).unwrap_err().to_string();
    assert!(said.contains("belongs to another program"), "{said}");

    let away = Server { port: 1, ..server };
    let said = attempt(&away).await.map(drop).unwrap_err().to_string();
    assert!(said.contains("url, user and password-file in [state]"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_open_an_empty_database_at_once_make_its_tables_once_and_one_has_it() {
    let postgres = tokio::task::spawn_blocking(backend::shared).await.unwrap();
    let server = postgres.database();
    let all: Vec<_> = (0..8)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { attempt(&server).await })
        })
        .collect();
    let mut one = Vec::new();
    for task in all {
        match task.await.unwrap() {
            Ok(store) => one.push(store),
            Err(error) => assert!(matches!(error, OpenError::Held { .. }), "{error}"),
        }
    }
    assert_eq!(one.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_text_may_not_hold_is_kept_as_it_is() {
    let it = Fixture::new().await;
    it.put("a\0b", "v\0").await;
    assert_eq!(it.value("a\0b").await.as_deref(), Some("v\0"));
    let mut odd = message("orders", "m\0");
    odd.key = Some("k\0".into());
    odd.headers = vec![("x".into(), "\0".into())];
    it.publish(odd.clone()).await;
    let found = it.deliveries("mail").await.remove(0);
    assert_eq!((&found.message.id, &found.message.key), (&odd.id, &odd.key));
    assert_eq!(found.message.headers, odd.headers);
    it.store.commit(handling(&found)).await.unwrap();
}

/// The figure is printed, not judged: the disk and the machine decide it.
#[tokio::test(flavor = "multi_thread")]
async fn units_that_wait_together_share_a_commit() {
    let it = Fixture::new().await;
    let began = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = it.store.clone();
            tokio::spawn(async move {
                for n in 0..40 {
                    let name = format!("{task}-{n}");
                    let mut unit = write(&name, "1");
                    unit.writes.extend(write(&format!("{name}-too"), "2").writes);
                    unit.reads.insert(key(&name), 0);
                    unit.messages.push(message("news", &name));
                    store.commit(unit).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (stats, took) = (it.store.stats(), began.elapsed());
    let rate = stats.units as f64 / took.as_secs_f64();
    println!("{} units in {took:?}: {rate:.0} a second, {} commits", stats.units, stats.commits);
    assert_eq!(stats.units, 2_560);
    assert!(stats.units / stats.commits >= 8, "{stats:?}");
}
