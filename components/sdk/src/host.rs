//! The ports as the host provides them.

use std::time::Duration;

use crate::bindings::imports::monopod::{blobs, identity, messaging, state, timers};
use crate::bindings::imports::wasi::cli::environment;
use crate::bindings::imports::wasi::clocks::wall_clock;
use crate::bindings::imports::wasi::http::types::Scheme;
use crate::bindings::imports::wasi::random::random;
use crate::http::{Method, Response};
use crate::outgoing::{self, Failed, Request};
use crate::ports::{
    Access, Blobs, Buckets, Clock, Entry, Error, Fetch, Identity, Info, Millis, Outgoing, Presigned,
    Principal, Publisher, Random, Range, Services, Settings, Timers, User, Web,
};

/// The largest answer of another component that is read.
const MAX_ANSWER: usize = 4 << 20;

/// The host: everything the component was granted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Identity for Host {
    fn caller(&self) -> Principal {
        match identity::caller::current() {
            identity::caller::Principal::Anonymous => Principal::Anonymous,
            identity::caller::Principal::System => Principal::System,
            identity::caller::Principal::User(user) => Principal::User(User {
                issuer: user.issuer,
                subject: user.subject,
                name: user.name,
                scopes: user.scopes,
            }),
        }
    }

    fn correlation_id(&self) -> String {
        identity::caller::correlation_id()
    }
}

impl Buckets for Host {
    fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(state::buckets::get(bucket, key)?)
    }

    fn set(&self, bucket: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        Ok(state::buckets::set(bucket, key, value)?)
    }

    fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        Ok(state::buckets::delete(bucket, key)?)
    }

    fn scan(&self, bucket: &str, range: Range<'_>) -> Result<Vec<Entry>, Error> {
        use state::buckets::Order;
        let order = if range.descending { Order::Descending } else { Order::Ascending };
        let (prefix, after) = (range.prefix.to_owned(), range.after.map(str::to_owned));
        let wanted = state::buckets::Range { prefix, after, order };
        let entries = state::buckets::scan(bucket, &wanted, range.limit)?;
        Ok(entries.into_iter().map(|entry| Entry { key: entry.key, value: entry.value }).collect())
    }

    fn set_for(&self, bucket: &str, key: &str, value: &[u8], ttl: Duration) -> Result<(), Error> {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        Ok(state::buckets::set_for(bucket, key, value, ttl)?)
    }

    fn get_versioned(&self, bucket: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let found = state::buckets::get_versioned(bucket, key)?;
        Ok(found.map(|found| (found.version, found.value)))
    }

    fn compare_and_set(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<u64>,
        value: Option<&[u8]>,
    ) -> Result<bool, Error> {
        Ok(state::buckets::compare_and_set(bucket, key, expected, value)?)
    }
}

impl Publisher for Host {
    fn publish(&self, message: &Outgoing) -> Result<String, Error> {
        let header = |(name, value): &(String, String)| messaging::types::Header {
            name: name.clone(),
            value: value.clone(),
        };
        Ok(messaging::publisher::publish(&messaging::types::Outgoing {
            topic: message.topic.clone(),
            key: message.key.clone(),
            headers: message.headers.iter().map(header).collect(),
            payload: message.payload.clone(),
            correlation_id: message.correlation_id.clone(),
        })?)
    }
}

impl Timers for Host {
    fn set_timer(&self, name: &str, after: Duration, payload: &[u8]) -> Result<(), Error> {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Ok(timers::timers::set(name, millis, payload)?)
    }

    fn cancel_timer(&self, name: &str) -> Result<(), Error> {
        Ok(timers::timers::cancel(name)?)
    }
}

impl Blobs for Host {
    fn stat(&self, container: &str, key: &str) -> Result<Info, Error> {
        let info = blobs::blobs::stat(container, key)?;
        Ok(Info {
            size: info.size,
            content_type: info.content_type,
            sha256: info.sha256,
            written_at: Millis(info.written_at),
        })
    }

    fn read(&self, container: &str, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        Ok(blobs::blobs::read(container, key, offset, length)?)
    }

    fn presign(
        &self,
        container: &str,
        key: &str,
        access: &Access,
        ttl_seconds: u32,
    ) -> Result<Presigned, Error> {
        let access = match access {
            Access::Get => blobs::blobs::Access::Get,
            Access::Put { content_type, max_size } => {
                let (content_type, max_size) = (content_type.clone(), *max_size);
                blobs::blobs::Access::Put(blobs::blobs::PutConditions { content_type, max_size })
            }
        };
        let signed = blobs::blobs::presign(container, key, &access, ttl_seconds)?;
        Ok(Presigned { url: signed.url, expires_at: Millis(signed.expires_at) })
    }
}

impl Services for Host {
    fn call(&self, method: Method, service: &str, path: &str, body: &[u8]) -> Result<Response, Error> {
        let authority = format!("{service}.internal");
        let mut headers = Vec::with_capacity(2);
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), b"application/json".to_vec()));
        }
        let request = Request { method, scheme: Scheme::Http, authority: &authority, path, headers, body };
        outgoing::exchange(request, MAX_ANSWER, false).map_err(|failed| match failed {
            Failed::Denied => {
                Error::NotGranted(format!("[components.<this one>.grants] call = [\"{service}\"]"))
            }
            Failed::Code(code) => Error::Unavailable(format!("component `{service}` did not answer: {code}")),
            Failed::Broken => Error::Unavailable(format!("component `{service}` broke off its answer")),
            Failed::TooLarge => {
                Error::Invalid(format!("component `{service}` answered more than {MAX_ANSWER} bytes"))
            }
        })
    }
}

impl Web for Host {
    fn fetch(&self, fetch: &Fetch<'_>) -> Result<Response, Error> {
        let invalid = || Error::Invalid(format!("`{}` is not an address", fetch.url));
        let (scheme, rest) = match fetch.url.split_once("://").ok_or_else(invalid)? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return Err(invalid()),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let entry = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        let mut headers: Vec<_> = fetch.headers.iter().map(entry).collect();
        if fetch.retries > 0 {
            headers.push(("monopod-retries".to_owned(), fetch.retries.to_string().into_bytes()));
        }
        let request = Request { method: fetch.method, scheme, authority, path, headers, body: fetch.body };
        outgoing::exchange(request, fetch.limit, true).map_err(|failed| match failed {
            Failed::Denied => {
                Error::NotGranted(format!("[components.<this one>.grants] http = [\"{}\"]", fetch.url))
            }
            Failed::Code(code) => Error::Unavailable(format!("`{}` did not answer: {code}", fetch.url)),
            Failed::Broken => Error::Unavailable(format!("`{}` broke off its answer", fetch.url)),
            Failed::TooLarge => {
                Error::Invalid(format!("`{}` answered more than {} bytes", fetch.url, fetch.limit))
            }
        })
    }
}

impl Settings for Host {
    fn setting(&self, name: &str) -> Option<String> {
        let name = crate::ports::variable(name);
        environment::get_environment().into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl Clock for Host {
    fn now(&self) -> Millis {
        let now = wall_clock::now();
        Millis(now.seconds.saturating_mul(1_000).saturating_add(u64::from(now.nanoseconds / 1_000_000)))
    }
}

impl Random for Host {
    fn random(&self) -> [u8; 16] {
        let (high, low) = (random::get_random_u64(), random::get_random_u64());
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }
}

impl From<state::buckets::Error> for Error {
    fn from(error: state::buckets::Error) -> Self {
        match error {
            state::buckets::Error::NotGranted(text) => Self::NotGranted(text),
            state::buckets::Error::TooLarge(text) => Self::Invalid(text),
            state::buckets::Error::Unavailable(text) => Self::Unavailable(text),
            state::buckets::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<messaging::publisher::Error> for Error {
    fn from(error: messaging::publisher::Error) -> Self {
        match error {
            messaging::publisher::Error::NotGranted(text) => Self::NotGranted(text),
            messaging::publisher::Error::TooLarge(text) => Self::Invalid(text),
            messaging::publisher::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<timers::timers::Error> for Error {
    fn from(error: timers::timers::Error) -> Self {
        match error {
            timers::timers::Error::NotGranted(text) => Self::NotGranted(text),
            timers::timers::Error::TooLarge(text) => Self::Invalid(text),
            timers::timers::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<blobs::blobs::Error> for Error {
    fn from(error: blobs::blobs::Error) -> Self {
        match error {
            blobs::blobs::Error::NotGranted(text) => Self::NotGranted(text),
            blobs::blobs::Error::NotFound => Self::NotFound,
            blobs::blobs::Error::Invalid(text) => Self::Invalid(text),
            blobs::blobs::Error::Unavailable(text) => Self::Unavailable(text),
            blobs::blobs::Error::Other(text) => Self::Other(text),
        }
    }
}
