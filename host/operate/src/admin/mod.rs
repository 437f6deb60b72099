//! The operator's door: `/admin` (a page), `/admin/status` (JSON) and `/metrics`
//! (Prometheus), on listeners of their own, never on the one that clients use.
//!
//! A socket in the state folder that only the user who runs the platform can open: no token
//! is needed, `monopod ps` uses it. If the platform file says so, a loopback address as
//! well, and one that answers `/metrics` and nothing else. Nothing here changes anything.

mod answer;
mod serve;
pub mod socket;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use monopod_core::identity::Authenticator;
use monopod_core::seen::Source;
use tokio::net::{TcpListener, UnixListener};

use crate::metrics::{Process, collect};
use crate::status::{History, LOOK, Status};
use crate::{process, prometheus};

/// The socket's name in the state folder.
pub const SOCKET: &str = "seen.sock";

/// What the operator's door is told.
#[derive(Clone)]
pub struct Settings {
    /// The state folder, which no other process has now.
    pub folder: PathBuf,
    /// A loopback address that answers everything.
    pub listen: Option<SocketAddr>,
    /// What a bearer token must allow there; none: whoever reaches it is let in.
    pub policy: Option<BTreeSet<String>>,
    /// An address that answers `/metrics` and nothing else.
    pub metrics: Option<SocketAddr>,
}

/// Why it cannot open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened to.
    #[error("cannot listen on {listen}, as [admin] {key} says: {source}\n  fix: set another address")]
    Listen {
        /// The key in [admin].
        key: &'static str,
        /// Where.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The listeners, open but not yet answered.
pub struct Bound {
    socket: Option<UnixListener>,
    listen: Option<TcpListener>,
    metrics: Option<TcpListener>,
    policy: Option<BTreeSet<String>>,
}

/// Opens the listeners. Must be called on a runtime.
pub async fn bind(settings: Settings) -> Result<Bound, Error> {
    let Settings { folder, listen, policy, metrics } = settings;
    let socket = socket::open(&folder, SOCKET)
        .map_err(|error| {
            // A file system without sockets: the platform serves all the same.
            tracing::warn!(folder = %folder.display(), %error, "`monopod ps` will not work: its socket cannot be opened");
        })
        .ok();
    Ok(Bound {
        socket,
        listen: open_address("listen", listen).await?,
        metrics: open_address("metrics", metrics).await?,
        policy,
    })
}

async fn open_address(key: &'static str, listen: Option<SocketAddr>) -> Result<Option<TcpListener>, Error> {
    let Some(listen) = listen else { return Ok(None) };
    let bound = TcpListener::bind(listen).await;
    bound.map(Some).map_err(|source| Error::Listen { key, listen, source })
}

impl Bound {
    /// Where `[admin] listen` listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.as_ref()?.local_addr().ok()
    }

    /// Where `[admin] metrics` listens, if it does.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Answers until it is dropped.
    pub async fn serve(self, source: Arc<dyn Source>, authenticator: Arc<dyn Authenticator>) {
        let view = Arc::new(View { source, history: History::begin(process::look()) });
        let looks = async {
            loop {
                tokio::time::sleep(LOOK).await;
                view.history.keep(view.source.look(), process::look());
            }
        };
        let all = |guard| serve::Door { view: view.clone(), guard, only_metrics: false };
        let socket = async {
            match self.socket {
                Some(socket) => serve::unix(socket, all(serve::Guard::Open)).await,
                None => std::future::pending().await,
            }
        };
        let address = async {
            let Some(listener) = self.listen else { return std::future::pending().await };
            let guard = match self.policy {
                Some(scopes) => serve::Guard::Token { scopes, authenticator },
                None => serve::Guard::Local,
            };
            serve::tcp(listener, all(guard)).await
        };
        let metrics = async {
            let Some(listener) = self.metrics else { return std::future::pending().await };
            let door = serve::Door { only_metrics: true, ..all(serve::Guard::Open) };
            serve::tcp(listener, door).await
        };
        tokio::join!(looks, socket, address, metrics);
    }
}

/// What all doors show.
pub(crate) struct View {
    source: Arc<dyn Source>,
    history: History,
}

impl View {
    fn status(&self) -> Status {
        self.history.status(&self.source.look(), process::look())
    }

    fn metrics(&self) -> String {
        let process: Process = process::look();
        prometheus::text(&collect(&self.source.look(), process))
    }
}
