//! `monopod:identity`: who asked.

use monopod_core::identity::{Owner, Principal};

use crate::bindings::monopod::identity::caller::{Host, Principal as Wit, User};
use crate::guest::Guest;

impl Host for Guest {
    fn current(&mut self) -> wasmtime::Result<Wit> {
        let user = |owner: &Owner, name: Option<String>, scopes: Vec<String>| {
            Wit::User(User {
                issuer: owner.issuer.to_string(),
                subject: owner.subject.to_string(),
                name,
                scopes,
            })
        };
        Ok(match &self.context.principal {
            Principal::Anonymous => Wit::Anonymous,
            Principal::System => Wit::System,
            Principal::Owner(owner) => user(owner, None, Vec::new()),
            Principal::User(u) => user(&u.owner, u.name.clone(), u.scopes.clone()),
        })
    }

    fn correlation_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.correlation.as_str().to_owned())
    }
}
