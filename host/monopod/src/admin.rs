//! The admin socket: how commands on this machine reach the running platform. HTTP over a
//! Unix socket in the state folder, which its owner alone can open: who can write there
//! has the state anyhow, so there is no other login. Nothing of it is on the network.
//!
//! What it answers is put together in `up`; this module moves requests and knows none.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// The socket's name in the state folder.
const SOCKET: &str = "admin.sock";
/// How long a command waits for an answer: what looks at millions of messages may take some.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer a command reads: pages are cut well below.
const MAX_ANSWER: usize = 64 << 20;

/// Answers on the socket until shutdown. The caller has the state folder locked, so a
/// socket that is there belongs to nobody.
pub fn serve(state: &Path, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let near = Near::open(state)?;
    let path = near.socket();
    let _none = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let gone = state.join(SOCKET);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the admin socket is closed; commands such as `monopod topics` do not work");
        }
        let _none = fs::remove_file(gone);
    });
    Ok(())
}

/// Sends `body` to the running platform whose state is there.
pub async fn post(state: &Path, path: &str, body: Vec<u8>) -> anyhow::Result<(StatusCode, Bytes)> {
    let asked = async {
        let near = Near::open(state)
            .with_context(|| format!("{} is no state folder; name it with --state", state.display()))?;
        let stream = UnixStream::connect(near.socket()).await.with_context(|| {
            format!(
                "no platform runs with its state in {}; start it with `monopod up`, or name the folder with --state",
                state.display()
            )
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = http::Request::post(path)
            .header(http::header::HOST, "admin")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => Ok((parts.status, body.to_bytes())),
            Err(error) => bail!("the platform's answer broke off: {error}"),
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.context("the platform did not answer in two minutes")?
}

/// The state folder by a short name. The path of a socket has at most 107 bytes; a folder
/// may have many more.
struct Near {
    folder: File,
    path: PathBuf,
}

impl Near {
    fn open(state: &Path) -> std::io::Result<Self> {
        Ok(Self { folder: File::open(state)?, path: state.to_owned() })
    }

    fn socket(&self) -> PathBuf {
        let short = PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()));
        if short.is_dir() { short.join(SOCKET) } else { self.path.join(SOCKET) }
    }
}
