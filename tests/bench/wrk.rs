//! Load by `wrk`: requests per second from one client thread over kept connections, and what each
//! costs the server. The same for every server that figures compare.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::machine;

/// Connections. One thread of `wrk` serves them all.
pub const CONNECTIONS: u32 = 32;
/// Seconds before the first round, for each: connections, caches, the processor's clock.
const WARM: u32 = 2;

/// A server under load: requests per second, and what they cost.
#[derive(Debug)]
pub struct Side {
    pid: u32,
    url: String,
    script: Option<PathBuf>,
    /// Requests per second, of each round.
    pub rate: Vec<f64>,
    /// Microseconds of processor for one request, of the server alone.
    pub cost: Vec<f64>,
}

impl Side {
    /// The process that answers `url`, warmed up. `script` is Lua that makes the requests; without
    /// one they are GET.
    pub async fn new(pid: u32, url: String, script: Option<&Path>) -> Self {
        let mut side =
            Self { pid, url, script: script.map(Path::to_owned), rate: Vec::new(), cost: Vec::new() };
        side.wrk(WARM).await;
        side
    }

    /// One round.
    pub async fn run(&mut self, seconds: u32) {
        let before = machine::processor(self.pid);
        let (rate, requests) = self.wrk(seconds).await;
        self.rate.push(rate);
        self.cost.push((machine::processor(self.pid) - before) * 1e6 / requests);
    }

    /// Requests per second, and how many in all. Panics if one was not answered well.
    async fn wrk(&mut self, seconds: u32) -> (f64, f64) {
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
        if let Some(script) = &self.script {
            command.arg("-s").arg(script);
        }
        let output = command.arg(&self.url).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"),
            "wrk {}: {text}{}",
            self.url,
            String::from_utf8_lossy(&output.stderr)
        );
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
        let all = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
        (rate.unwrap_or_else(|| panic!("wrk: {text}")), all.unwrap_or_else(|| panic!("wrk: {text}")))
    }
}

/// Installs `wrk` if it is missing and may be installed.
pub async fn is_here() -> Result<(), String> {
    let here = || Command::new("wrk").arg("-v").stdout(Stdio::null()).status();
    if here().await.is_ok() {
        return Ok(());
    }
    let install = Command::new("apt-get").args(["install", "-y", "wrk"]).stdout(Stdio::null()).status().await;
    match (install, here().await) {
        (Ok(_), Ok(_)) => Ok(()),
        _ => Err("wrk is missing. Run: sudo apt-get install -y wrk".to_owned()),
    }
}
