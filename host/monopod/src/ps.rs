//! `monopod ps`: what a running platform's components do, asked over the socket in its
//! state folder.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use monopod_operate::status::Status;
use monopod_operate::{admin, table};

use crate::{FAILED, cli, screen};

/// Between two looks with `--watch`: as fast as a person reads.
const WATCH: Duration = Duration::from_secs(2);
/// To the upper left, and everything below away: the lines that follow take the place of those
/// before without a flicker.
const HOME: &str = "\x1b[H\x1b[J";

pub fn run(options: &cli::Ps) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(show(options)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::error(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

async fn show(options: &cli::Ps) -> anyhow::Result<()> {
    let folder = folder(options)?;
    let replace = options.watch && !options.json && std::io::stdout().is_terminal();
    loop {
        let text = ask(&folder).await?;
        if options.json {
            screen::print(std::str::from_utf8(&text)?);
        } else {
            let status: Status = serde_json::from_slice(&text)
                .context("the platform is of another version than this program")?;
            // In one piece, so that a watcher never sees half of it.
            let lines = table::lines(&status).join("\n");
            screen::print(&if replace { format!("{HOME}{lines}") } else { lines });
        }
        if !options.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH).await;
        if !replace && !options.json {
            screen::print("");
        }
    }
}

/// The state folder: as the command line says, or the platform file.
fn folder(options: &cli::Ps) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &options.state {
        return Ok(folder.clone());
    }
    let Some(file) = &options.file else { return Ok(PathBuf::from(monopod_config::STATE)) };
    let plan = monopod_config::load(file).map_err(|mistakes| {
        mistakes.iter().for_each(screen::mistake);
        anyhow::anyhow!("the platform file has mistakes; give --state DIR instead")
    })?;
    Ok(plan.state)
}

async fn ask(state: &Path) -> anyhow::Result<Bytes> {
    let request = Request::get("/admin/status").body(Full::default())?;
    let (status, body) = crate::admin::ask(state, admin::SOCKET, request).await?;
    if status != StatusCode::OK {
        bail!("the platform answered {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}
