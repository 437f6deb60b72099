//! The peer `wasmtime serve`: the same release of the engine with its own command line.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What it is, for the table.
pub const NAME: &str = "wasmtime serve 48.0.8";
/// The environment variable with the program; the task program sets it.
const PROGRAM: &str = "WASMTIME";

/// Whether it is here.
pub fn is_here() -> bool {
    std::env::var_os(PROGRAM).is_some_and(|program| Path::new(&program).is_file())
}

/// Starts it with `component`, and instances that answer so many requests; `more` is of its command
/// line. Its process and address.
pub async fn start(component: &Path, reuse: u32, more: &[&str]) -> (Child, String) {
    let mut child = Command::new(std::env::var_os(PROGRAM).unwrap())
        .args([
            "serve",
            "-S",
            "cli",
            "--addr",
            "127.0.0.1:0",
            "--max-instance-reuse-count",
            &reuse.to_string(),
        ])
        .args(more)
        .arg(component)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, address)) = line.split_once("http://") {
            let address = format!("http://{}", address.trim_end_matches('/'));
            // Held open and read: who writes to a closed pipe fails.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, address);
        }
    }
    panic!("wasmtime serve did not start");
}
