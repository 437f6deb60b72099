//! The room from outside: composed schemas are served on a real socket with fakes for
//! components, topics and the token's issuer.
#![cfg(test)]

mod advisories;
mod authorization;
mod code;
mod coercion;
mod composition;
mod documents;
mod errors;
mod execution;
mod graphiql;
mod guards;
mod hostile;
mod http;
mod mapping;
mod nested;
mod release;
mod socket;
mod sse;
mod subscriptions;
mod support;
