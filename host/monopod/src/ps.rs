//! `monopod ps`: what a running platform's components do, asked over the socket in its
//! state folder.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use monopod_operate::status::Status;
use monopod_operate::{admin, table};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::{FAILED, cli, screen};

/// Between two looks with `--watch`: as fast as a person reads.
const WATCH: Duration = Duration::from_secs(2);
/// How long an answer may take: it is made in memory.
const TIME: Duration = Duration::from_secs(10);
/// The largest answer: a thousand components with all that can be said of each.
const MAX_ANSWER: usize = 4 << 20;
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
        let text = ask(&folder.join(admin::SOCKET)).await?;
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

async fn ask(socket: &Path) -> anyhow::Result<Bytes> {
    let connected = UnixStream::connect(socket).await;
    let stream = connected.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => anyhow::anyhow!(
            "no platform runs on this state: nobody answers at {}\n  fix: give its folder with --state DIR, or its file: monopod ps FILE",
            socket.display()
        ),
        std::io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "{} belongs to another user\n  fix: run this as the user who runs the platform, or as root",
            socket.display()
        ),
        _ => anyhow::Error::new(error).context(format!("{} cannot be asked", socket.display())),
    })?;
    timeout(TIME, exchange(stream)).await.context("the platform did not answer in time")?
}

async fn exchange(stream: UnixStream) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        Request::get("/admin/status").header(http::header::HOST, "monopod").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
    if status != StatusCode::OK {
        bail!("the platform answered {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}
