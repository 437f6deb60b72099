//! A world without servers outside: for engines whose components are not to reach any.

use monopod_core::outgoing::{Error, Outgoing, Request};
use monopod_core::{Body, BoxFuture};

/// Reaches nobody.
pub struct Nowhere;

impl Outgoing for Nowhere {
    fn send(&self, _: Request) -> BoxFuture<'static, Result<http::Response<Body>, Error>> {
        Box::pin(std::future::ready(Err(Error::Connect("there is nobody".to_owned()))))
    }
}
