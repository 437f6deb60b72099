//! Requests of components to servers outside: the client behind `core::outgoing`.
//!
//! `engine` has decided where a request may go; what is decided here is which address that is.
//! A name is resolved, its addresses are checked, and the very address that was checked is
//! connected to: between the two nobody is asked again. No redirect is followed, no proxy of
//! the environment is used, and no connection is shared between two components.
//!
//! [`exchange`] sends and tries again, [`pool`] keeps connections, [`connect`] makes them,
//! [`body`] bounds what goes over them.

mod body;
mod connect;
mod exchange;
mod limits;
mod pool;
mod resolve;

use std::path::PathBuf;
use std::sync::Arc;

use monopod_core::outgoing::{Error, Outgoing, Request, Resolver};
use monopod_core::{Body, BoxFuture};
use tokio::runtime::Handle;

use crate::client::Connector;
use crate::tls;

pub use resolve::SystemResolver;

/// What the client is made of.
pub struct Settings {
    /// A PEM file of certificates to trust besides the machine's own.
    pub ca: Option<PathBuf>,
    /// Who turns names into addresses.
    pub resolver: Arc<dyn Resolver>,
    /// Where connections live: a component's own task may be one of low priority.
    pub runtime: Handle,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    connector: Connector,
    resolver: Arc<dyn Resolver>,
    pool: pool::Pool,
    runtime: Handle,
}

impl Client {
    /// Reads the certificates to trust, which takes some milliseconds. Opens nothing.
    pub fn new(settings: Settings) -> Result<Self, crate::Error> {
        let more = settings.ca.as_deref().map(tls::read_roots).transpose()?.unwrap_or_default();
        let connector = Connector::trusting(more, &[tls::H2, tls::HTTP1]).map_err(crate::Error::Client)?;
        let inner = Inner {
            connector,
            resolver: settings.resolver,
            pool: pool::Pool::new(settings.runtime.clone()),
            runtime: settings.runtime,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Connections that are open now, those that wait for a request included.
    pub fn connections(&self) -> usize {
        self.inner.pool.open()
    }
}

impl Outgoing for Client {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<http::Response<Body>, Error>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let runtime = inner.runtime.clone();
            // Ends with whoever waits for it.
            let mut task = Ended::new(runtime.spawn(exchange::send(inner, request)));
            match (&mut task.0).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::Connect("the host is shutting down".to_owned())),
            }
        })
    }
}

/// A task that ends with its handle.
pub(crate) struct Ended<T>(tokio::task::JoinHandle<T>);

impl<T> Ended<T> {
    pub(crate) fn new(task: tokio::task::JoinHandle<T>) -> Self {
        Self(task)
    }
}

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
