//! Names to addresses, as the system does it.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use monopod_core::BoxFuture;
use monopod_core::outgoing::Resolver;
use tokio::sync::Semaphore;

use super::limits::LOOKUPS;

/// The system's resolver: its files, its servers, its order.
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let permit = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            // The thread goes on when nobody waits any more: it, not the waiter, has the permit.
            let lookup = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                let mut addresses: Vec<IpAddr> = Vec::new();
                for address in found.map(|it| it.ip()) {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                Ok(addresses)
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}
