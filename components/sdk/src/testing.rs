//! A fake of all ports, in memory, for native tests of a component's logic.
//!
//! ```
//! use monopod_sdk::ports::{Buckets, Publisher, Outgoing};
//! use monopod_sdk::testing::Fake;
//!
//! let fake = Fake::new().user("anna");
//! fake.set("sessions", "1", b"{}").unwrap();
//! fake.publish(&Outgoing::json("things", "1", &1).unwrap()).unwrap();
//! assert_eq!(fake.published().len(), 1);
//! ```
//!
//! Each call takes effect at once; [`Fake::unit`] runs a handler as the host does: its effects
//! stay if it ends well and are taken back otherwise.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::http::{Method, Response};
use crate::ports::{
    Access, Blobs, Buckets, Clock, Entry, Error, Fetch, Identity, Info, Millis, Outgoing, Presigned,
    Principal, Publisher, Random, Range, Services, Settings, Timers, User, Web,
};

type Blob = (Info, Vec<u8>);
type Server = Rc<dyn Fn(&Fetch<'_>) -> Result<Response, Error>>;
type Service = Rc<dyn Fn(Method, &str, &[u8]) -> Result<Response, Error>>;

/// A value as it is stored.
#[derive(Debug, Clone, PartialEq)]
struct Value {
    bytes: Vec<u8>,
    version: u64,
    ends: Option<Millis>,
}

/// What the handlers' units have changed so far.
#[derive(Debug, Clone, Default, PartialEq)]
struct Changes {
    state: BTreeMap<(String, String), Value>,
    /// The last version given to a value.
    version: u64,
    published: Vec<Outgoing>,
    timers: BTreeMap<String, (Millis, Vec<u8>)>,
}

/// The fake. Cheap to set up; not shared between tests.
#[derive(Clone)]
pub struct Fake {
    caller: Principal,
    correlation: String,
    settings: BTreeMap<String, String>,
    services: BTreeMap<String, Service>,
    servers: Vec<(String, Server)>,
    changes: RefCell<Changes>,
    blobs: RefCell<BTreeMap<(String, String), Blob>>,
    unavailable: RefCell<bool>,
    now: RefCell<Millis>,
    drawn: RefCell<u128>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// Nothing stored, nobody asking, 2026-11-23T05:12:00Z.
    pub fn new() -> Self {
        Self {
            caller: Principal::Anonymous,
            correlation: "correlation-1".into(),
            settings: BTreeMap::new(),
            services: BTreeMap::new(),
            servers: Vec::new(),
            changes: RefCell::default(),
            blobs: RefCell::default(),
            unavailable: RefCell::new(false),
            now: RefCell::new(Millis(1_795_410_720_000)),
            drawn: RefCell::new(0),
        }
    }

    /// Asked by the user of this name.
    #[must_use]
    pub fn user(mut self, subject: &str) -> Self {
        self.be(subject);
        self
    }

    /// From now on asked by the user of this name.
    pub fn be(&mut self, subject: &str) {
        self.caller = Principal::User(User {
            issuer: "https://issuer.test".into(),
            subject: subject.into(),
            name: None,
            scopes: vec!["analysis".into()],
        });
    }

    /// Within this action.
    #[must_use]
    pub fn correlation(mut self, id: &str) -> Self {
        self.correlation = id.into();
        self
    }

    /// With a setting.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// With another component, which answers as `service` does.
    #[must_use]
    pub fn with_service(
        mut self,
        name: &str,
        service: impl Fn(Method, &str, &[u8]) -> Result<Response, Error> + 'static,
    ) -> Self {
        self.services.insert(name.into(), Rc::new(service));
        self
    }

    /// With servers outside: `server` answers requests whose address begins with `prefix`.
    #[must_use]
    pub fn with_server(
        mut self,
        prefix: &str,
        server: impl Fn(&Fetch<'_>) -> Result<Response, Error> + 'static,
    ) -> Self {
        self.servers.push((prefix.into(), Rc::new(server)));
        self
    }

    /// Puts an object there, as a client's PUT would.
    pub fn put_blob(&self, container: &str, key: &str, info: Info, bytes: Vec<u8>) {
        self.blobs.borrow_mut().insert((container.into(), key.into()), (info, bytes));
    }

    /// From now on nothing answers (or everything again).
    pub fn set_unavailable(&self, unavailable: bool) {
        *self.unavailable.borrow_mut() = unavailable;
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let mut now = self.now.borrow_mut();
        *now = now.plus(millis);
    }

    /// All messages published so far.
    pub fn published(&self) -> Vec<Outgoing> {
        self.changes.borrow().published.clone()
    }

    /// The messages of one topic published so far.
    pub fn published_to(&self, topic: &str) -> Vec<Outgoing> {
        let all = self.changes.borrow();
        all.published.iter().filter(|message| message.topic == topic).cloned().collect()
    }

    /// The timers that are set, with their payloads.
    pub fn timers(&self) -> Vec<(String, Vec<u8>)> {
        let all = self.changes.borrow();
        all.timers.iter().map(|(name, (_, payload))| (name.clone(), payload.clone())).collect()
    }

    /// Takes the timer `name` away as if it had come due, and returns its payload.
    pub fn take_timer(&self, name: &str) -> Option<Vec<u8>> {
        self.changes.borrow_mut().timers.remove(name).map(|(_, payload)| payload)
    }

    /// Runs a handler as a unit of work: keeps its effects if it ends well, takes them back
    /// otherwise.
    pub fn unit<T, E>(&self, handler: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        let before = self.changes.borrow().clone();
        let result = handler(self);
        if result.is_err() {
            *self.changes.borrow_mut() = before;
        }
        result
    }

    fn is_there(&self, value: &Value) -> bool {
        value.ends.is_none_or(|ends| ends > *self.now.borrow())
    }

    fn write(&self, bucket: &str, key: &str, value: &[u8], ends: Option<Millis>) -> Result<(), Error> {
        self.reach()?;
        if key.is_empty() || key.len() > 512 || value.len() > 1 << 20 {
            return Err(Error::Invalid("key of 1 to 512 bytes, value of at most 1 MiB".into()));
        }
        let mut changes = self.changes.borrow_mut();
        changes.version += 1;
        let value = Value { bytes: value.into(), version: changes.version, ends };
        changes.state.insert((bucket.into(), key.into()), value);
        Ok(())
    }

    fn reach(&self) -> Result<(), Error> {
        if *self.unavailable.borrow() { Err(Error::Unavailable("switched off".into())) } else { Ok(()) }
    }
}

impl Identity for Fake {
    fn caller(&self) -> Principal {
        self.caller.clone()
    }

    fn correlation_id(&self) -> String {
        self.correlation.clone()
    }
}

impl Buckets for Fake {
    fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get_versioned(bucket, key)?.map(|(_, bytes)| bytes))
    }

    fn set(&self, bucket: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        self.write(bucket, key, value, None)
    }

    fn set_for(&self, bucket: &str, key: &str, value: &[u8], ttl: Duration) -> Result<(), Error> {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.write(bucket, key, value, Some(self.now.borrow().plus(ttl)))
    }

    fn get_versioned(&self, bucket: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        self.reach()?;
        let changes = self.changes.borrow();
        let found = changes.state.get(&(bucket.into(), key.into()));
        Ok(found.filter(|value| self.is_there(value)).map(|value| (value.version, value.bytes.clone())))
    }

    fn compare_and_set(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<u64>,
        value: Option<&[u8]>,
    ) -> Result<bool, Error> {
        let stands = self.get_versioned(bucket, key)?.map(|(version, _)| version);
        if stands != expected {
            return Ok(false);
        }
        match value {
            Some(value) => self.set(bucket, key, value)?,
            None => self.delete(bucket, key)?,
        }
        Ok(true)
    }

    fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        self.reach()?;
        self.changes.borrow_mut().state.remove(&(bucket.into(), key.into()));
        Ok(())
    }

    fn scan(&self, bucket: &str, range: Range<'_>) -> Result<Vec<Entry>, Error> {
        self.reach()?;
        let changes = self.changes.borrow();
        let inside = |key: &str| {
            key.starts_with(range.prefix)
                && range.after.is_none_or(|after| if range.descending { key < after } else { key > after })
        };
        let mut entries: Vec<Entry> = changes
            .state
            .iter()
            .filter(|((found, key), value)| found == bucket && inside(key) && self.is_there(value))
            .map(|((_, key), value)| Entry { key: key.clone(), value: value.bytes.clone() })
            .collect();
        if range.descending {
            entries.reverse();
        }
        entries.truncate(usize::try_from(range.limit).unwrap_or(usize::MAX));
        Ok(entries)
    }
}

impl Publisher for Fake {
    fn publish(&self, message: &Outgoing) -> Result<String, Error> {
        self.reach()?;
        let published = &mut self.changes.borrow_mut().published;
        published.push(message.clone());
        Ok(format!("message-{}", published.len()))
    }
}

impl Timers for Fake {
    fn set_timer(&self, name: &str, after: Duration, payload: &[u8]) -> Result<(), Error> {
        self.reach()?;
        let due = self.now().plus(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        self.changes.borrow_mut().timers.insert(name.into(), (due, payload.into()));
        Ok(())
    }

    fn cancel_timer(&self, name: &str) -> Result<(), Error> {
        self.reach()?;
        self.changes.borrow_mut().timers.remove(name);
        Ok(())
    }
}

impl Blobs for Fake {
    fn stat(&self, container: &str, key: &str) -> Result<Info, Error> {
        self.reach()?;
        let blobs = self.blobs.borrow();
        blobs.get(&(container.into(), key.into())).map(|(info, _)| info.clone()).ok_or(Error::NotFound)
    }

    fn read(&self, container: &str, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        self.reach()?;
        let blobs = self.blobs.borrow();
        let (_, bytes) = blobs.get(&(container.into(), key.into())).ok_or(Error::NotFound)?;
        let [offset, length] = [offset, length].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(bytes.iter().skip(offset).take(length).copied().collect())
    }

    fn presign(
        &self,
        container: &str,
        key: &str,
        access: &Access,
        ttl_seconds: u32,
    ) -> Result<Presigned, Error> {
        self.reach()?;
        let way = match access {
            Access::Get => "get".to_owned(),
            Access::Put { content_type, max_size } => format!("put:{content_type}:{max_size}"),
        };
        let url = format!("https://blobs.test/{container}/{key}?{way}");
        Ok(Presigned { url, expires_at: self.now().plus(u64::from(ttl_seconds) * 1_000) })
    }
}

impl Services for Fake {
    fn call(&self, method: Method, service: &str, path: &str, body: &[u8]) -> Result<Response, Error> {
        self.reach()?;
        let called = self.services.get(service);
        let called = called.ok_or_else(|| Error::NotGranted(format!("call = [\"{service}\"]")))?;
        called(method, path, body)
    }
}

impl Web for Fake {
    fn fetch(&self, request: &Fetch<'_>) -> Result<Response, Error> {
        self.reach()?;
        let server = self.servers.iter().find(|(prefix, _)| request.url.starts_with(prefix));
        let (_, server) = server.ok_or_else(|| Error::NotGranted(format!("http = [\"{}\"]", request.url)))?;
        server(request)
    }
}

impl Settings for Fake {
    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned()
    }
}

impl Clock for Fake {
    fn now(&self) -> Millis {
        *self.now.borrow()
    }
}

impl Random for Fake {
    fn random(&self) -> [u8; 16] {
        let mut drawn = self.drawn.borrow_mut();
        *drawn += 1;
        drawn.to_be_bytes()
    }
}
