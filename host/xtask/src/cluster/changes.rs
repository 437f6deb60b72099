//! Tells when objects of a kind changed, by the API server's own watch.

#![expect(clippy::disallowed_methods, reason = "a pause before asking a server again that broke off")]

use super::control::kubectl;
use super::place::Spot;
use super::tools::Tools;
use crate::process;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Before a watch that ended is begun again, and before a look that failed is tried again.
pub const AGAIN: Duration = Duration::from_secs(1);

/// A word for each change of an object below these paths, and for each object at the begin.
pub fn of(spot: &Spot, tools: &Tools, paths: &[&'static str]) -> Receiver<()> {
    let (changed, changes) = channel();
    for &path in paths {
        let (spot, tools, changed) = (spot.clone(), tools.clone(), changed.clone());
        std::thread::spawn(move || {
            while watch(&spot, &tools, path, &changed) {
                std::thread::sleep(AGAIN);
            }
        });
    }
    changes
}

/// Watches until the server breaks off; whether anybody still listens.
fn watch(spot: &Spot, tools: &Tools, path: &str, changed: &Sender<()>) -> bool {
    let mut command = kubectl(spot, tools);
    command.args(["get", "--raw", &format!("{path}?watch=true")]).stdin(Stdio::null()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return true };
    if let Some(out) = child.stdout.take() {
        for _line in BufReader::new(out).lines().map_while(Result::ok) {
            if changed.send(()).is_err() {
                let _ended = child.kill();
                let _reaped = child.wait();
                return false;
            }
        }
    }
    let _reaped = child.wait();
    true
}

/// All objects below a path, as they are now.
pub fn all(spot: &Spot, tools: &Tools, path: &str) -> Result<Value> {
    let answer = process::ask(kubectl(spot, tools).args(["get", "--raw", path]), None, &mut || {})?;
    if !answer.ending.ok() {
        bail!("{path}: {}", answer.err.trim());
    }
    serde_json::from_str(&answer.out).with_context(|| format!("{path} is no JSON"))
}
