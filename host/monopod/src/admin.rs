//! The admin socket: how commands on this machine reach the running platform. HTTP over a
//! Unix socket in the state folder, which its owner alone can open: who can write there
//! has the state anyhow, so there is no other login. Nothing of it is on the network.
//!
//! What it answers is put together in `up`; this module moves requests and knows none.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::Router;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use monopod_operate::admin::socket;
use tokio_util::sync::CancellationToken;

/// The socket's name in the state folder.
const SOCKET: &str = "admin.sock";
/// How long a command waits for an answer: what looks at millions of messages may take some, and
/// a component with an interpreter inside takes minutes to compile.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest answer a command reads: pages are cut well below.
const MAX_ANSWER: usize = 64 << 20;

/// Answers on the socket until shutdown. The caller has the state folder locked, so a
/// socket that is there belongs to nobody.
pub fn serve(state: &Path, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = socket::open(state, SOCKET)?;
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
    let request =
        Request::post(path).header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)))?;
    ask(state, SOCKET, request).await
}

/// Sends a request to the socket `name` of the running platform whose state is there.
pub async fn ask(
    state: &Path,
    name: &str,
    mut request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    request.headers_mut().insert(HOST, http::HeaderValue::from_static("localhost"));
    let asked = async {
        let stream = socket::connect(state, name).await.map_err(|error| absent(state, error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => Ok((parts.status, body.to_bytes())),
            Err(error) => bail!("the platform's answer broke off: {error}"),
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.context("the platform did not answer in ten minutes")?
}

/// Why nobody could be asked, and the fix.
fn absent(state: &Path, error: std::io::Error) -> anyhow::Error {
    let state = state.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => anyhow!(
            "no platform runs with its state in {state}\n  fix: start it with `monopod up`, or name its folder with --state"
        ),
        ErrorKind::PermissionDenied => anyhow!(
            "the platform with its state in {state} belongs to another user\n  fix: run this as the user who runs it, or as root"
        ),
        _ => anyhow::Error::new(error)
            .context(format!("the platform with its state in {state} cannot be asked")),
    }
}
