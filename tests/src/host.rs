//! The real host as a process of its own: started, killed, stopped in order.
//!
//! Suites that show what survives a crash, and benchmarks, use it. It reads what people read
//! (the address on standard output) and nothing of the host's insides.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::random::Random;

/// How long a start may take: with a cold cache every component is compiled, on a busy
/// machine; one with an interpreter inside takes minutes then.
const START: Duration = Duration::from_secs(600);
/// How long a stop in order may take; the platform file's drain time is 20 s.
const STOP: Duration = Duration::from_secs(40);

/// How to start a host.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// The platform file.
    pub platform: PathBuf,
    /// The folder of bundles.
    pub bundles: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where its log goes, appended.
    pub log: PathBuf,
    /// More of the command line.
    pub arguments: Vec<String>,
}

impl Setup {
    /// The built host with Trackunit's platform file, on a free port, with `folder/state` and
    /// `folder/log`.
    pub fn trackunit(folder: &Path) -> Self {
        Self {
            program: crate::from_environment("MONOPOD_BIN"),
            platform: crate::checkout().join("components/trackunit.toml"),
            bundles: crate::bundles(),
            state: folder.join("state"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            log: folder.join("log"),
            arguments: Vec::new(),
        }
    }

    /// Starts it, and does not wait for it.
    pub fn spawn(&self) -> Host {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let began = Instant::now();
        let mut child = Command::new(&self.program)
            .arg("up")
            .arg(&self.platform)
            .arg("--bundles")
            .arg(&self.bundles)
            .arg("--state")
            .arg(&self.state)
            .arg("--listen")
            .arg(self.listen.to_string())
            .args(["--log", "json"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.program.display()));
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Host { setup: self.clone(), child, output, began, url: None, plain: None }
    }

    /// Starts it, and waits until it serves.
    pub async fn start(&self) -> Host {
        let mut host = self.spawn();
        host.serving().await;
        host
    }

    /// The certificate that clients trust.
    pub fn ca(&self) -> PathBuf {
        self.state.join("edge/ca.pem")
    }

    /// The end of the log, for a failed test's message.
    pub fn last_log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A running host. Dropping it kills it.
#[derive(Debug)]
pub struct Host {
    setup: Setup,
    child: Child,
    // Held open: who writes to a closed pipe fails.
    output: Lines<BufReader<ChildStdout>>,
    began: Instant,
    url: Option<String>,
    plain: Option<String>,
}

impl Host {
    /// Waits until it serves, and returns its address. Panics with the log if it does not.
    pub async fn serving(&mut self) -> String {
        self.served().await.unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, or why it does not serve.
    pub async fn served(&mut self) -> Result<String, String> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let served = tokio::time::timeout(START, async {
            let mut url = None;
            while let Ok(Some(line)) = self.output.next_line().await {
                if let Some(rest) = line.strip_prefix("monopod ") {
                    url = rest.split_whitespace().next().map(str::to_owned);
                }
                if let Some(rest) = line.strip_prefix("plain ") {
                    self.plain = rest.split_whitespace().next().map(str::to_owned);
                }
                if line.starts_with("started ") {
                    return url;
                }
            }
            None
        });
        match served.await {
            Ok(Some(url)) => Ok(self.url.insert(url).clone()),
            Ok(None) => Err(format!("the host did not start:\n{}", self.setup.last_log())),
            Err(_) => Err(format!("the host did not start within {START:?}:\n{}", self.setup.last_log())),
        }
    }

    /// The address; it must serve.
    pub fn url(&self) -> &str {
        self.url.as_deref().expect("it serves")
    }

    /// Its address without TLS, if the platform file asks for one.
    pub fn plain(&self) -> Option<&str> {
        self.plain.as_deref()
    }

    /// The next line on its standard output; none at its end.
    pub async fn line(&mut self) -> Option<String> {
        self.output.next_line().await.unwrap()
    }

    /// Sends it a signal, by its name without `SIG`.
    pub async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap();
        assert!(sent.success(), "no signal could be sent to the host");
    }

    /// Waits until it has ended.
    pub async fn end(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(STOP, self.child.wait()).await;
        let Ok(Ok(status)) = status else { panic!("the host did not stop:\n{}", self.setup.last_log()) };
        status
    }

    /// When it was started.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Whether it ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGKILL; returns when it is gone. Panics if it had ended by itself: then what looks
    /// like a survived kill is none.
    pub async fn kill(mut self) {
        if let Some(status) = self.ended() {
            panic!("the host had ended by itself, {status}:\n{}", self.setup.last_log());
        }
        self.child.kill().await.unwrap();
    }

    /// SIGTERM; returns when it has drained and ended well.
    pub async fn stop(mut self) {
        self.signal("TERM").await;
        let status = self.end().await;
        assert!(status.success(), "the host stopped badly, {status}:\n{}", self.setup.last_log());
    }
}

/// A free port below those that the system gives to clients: a client that tries again and
/// again while nobody listens could otherwise be given the port itself, and meet itself.
pub fn quiet_port(random: &mut Random) -> SocketAddr {
    let tries = std::iter::repeat_with(|| u16::try_from(random.within(15_000..30_000)).unwrap());
    tries
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .take(100)
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("one of a hundred ports is free")
}
