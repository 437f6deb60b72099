//! `monopod:state`: buckets, read through the unit of work.

use std::collections::BTreeMap;
use std::sync::Arc;

use monopod_core::name::BucketName;
use monopod_core::store;
use monopod_core::unit::{Key, MAX_KEY, MAX_SCAN, MAX_VALUE, Range, Scan};

use crate::bindings::monopod::state::buckets::{
    Entry, Error, Host, Order, Range as WitRange, Versioned, Window,
};
use crate::guest::Guest;

/// The longest a value may live before it ends by itself, in milliseconds: ten years. A
/// time that overflows would end it at once.
const MAX_TTL: u64 = 10 * 365 * 86_400_000;

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Guest {
    pub(super) fn bucket(&self, bucket: &str) -> Result<BucketName, Error> {
        match self.loaded.component.grants.buckets.get(bucket) {
            Some(name) => Ok(name.clone()),
            None => Err(Error::NotGranted(self.denied("buckets", bucket))),
        }
    }

    fn key(&self, bucket: &str, key: &str) -> Result<Key, Error> {
        let bucket = self.bucket(bucket)?;
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::TooLarge(format!("a key has 1 to {MAX_KEY} bytes, this one {}", key.len())));
        }
        Ok(Key { component: self.loaded.component.name.clone(), bucket, key: key.into() })
    }

    pub(super) async fn read(&mut self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = self.key(bucket, key)?;
        if let Some(written) = self.unit.writes.get(&key) {
            return Ok(written.as_ref().map(|value| value.to_vec()));
        }
        self.remember(1).map_err(Error::TooLarge)?;
        let record = self.shared.store.get(&key).await?;
        let version = record.as_ref().map_or(0, |r| r.version);
        // The first version counts: if a later read sees another, the commit finds out.
        self.unit.reads.entry(key).or_insert(version);
        Ok(record.map(|r| r.value.to_vec()))
    }

    /// The committed version of a key, 0 if it is not there, and its value.
    async fn committed(&mut self, bucket: &str, key: &str) -> Result<(u64, Option<Vec<u8>>), Error> {
        let at = self.key(bucket, key)?;
        if self.unit.writes.contains_key(&at) {
            let message = format!("`{key}` was written by this invocation and has no version before it ends");
            return Err(Error::Other(message));
        }
        let value = self.read(bucket, key).await?;
        Ok((self.unit.reads.get(&at).copied().unwrap_or(0), value))
    }

    pub(super) async fn range(
        &mut self,
        bucket: &str,
        range: Wanted,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let bucket = self.bucket(bucket)?;
        if !(1..=MAX_SCAN).contains(&limit) {
            return Err(Error::TooLarge(format!(
                "a scan returns 1 to {MAX_SCAN} entries; {limit} were asked for"
            )));
        }
        let (start, end) = &range.between;
        let ends = [range.after.as_ref(), start.as_ref(), end.as_ref()];
        // One more than a key: where the page behind the longest key begins.
        if ends.into_iter().flatten().chain([&range.prefix]).any(|end| end.len() > MAX_KEY + 1) {
            return Err(Error::TooLarge(format!("a key has at most {MAX_KEY} bytes")));
        }
        let descending = range.descending;
        let component = &self.loaded.component.name;
        let visited = |key: &str| {
            key.starts_with(&range.prefix)
                && start.as_deref().is_none_or(|start| key >= start)
                && end.as_deref().is_none_or(|end| key < end)
                && range
                    .after
                    .as_deref()
                    .is_none_or(|after| if descending { key < after } else { key > after })
        };
        let own: Vec<(Arc<str>, Option<Vec<u8>>)> = self
            .unit
            .writes
            .iter()
            .filter(|(key, _)| key.component == *component && key.bucket == bucket && visited(&key.key))
            .map(|(key, value)| (key.key.clone(), value.as_ref().map(|v| v.to_vec())))
            .collect();
        // What this unit removed leaves room for others: ask for so many more.
        let more = u32::try_from(own.len()).unwrap_or(u32::MAX);
        let range = Range {
            component: component.clone(),
            bucket,
            prefix: range.prefix.clone(),
            after: range.after.clone(),
            between: range.between.clone(),
            descending,
            limit: limit.saturating_add(more),
        };
        // The scan itself is remembered too.
        self.remember(1).map_err(Error::TooLarge)?;
        let found = self.shared.store.scan(&range).await?;
        self.remember(found.len()).map_err(Error::TooLarge)?;
        let seen = found.iter().map(|(key, record)| (key.clone(), record.version)).collect();
        self.unit.scans.push(Scan { range, seen });

        let mut merged: BTreeMap<Arc<str>, Vec<u8>> =
            found.into_iter().map(|(key, record)| (key, record.value.to_vec())).collect();
        for (key, value) in own {
            match value {
                Some(value) => merged.insert(key, value),
                None => merged.remove(&key),
            };
        }
        let entry = |(key, value): (Arc<str>, Vec<u8>)| Entry { key: key.to_string(), value };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(if descending {
            merged.into_iter().rev().take(limit).map(entry).collect()
        } else {
            merged.into_iter().take(limit).map(entry).collect()
        })
    }

    pub(super) fn write(&mut self, bucket: &str, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        let key = self.key(bucket, key)?;
        let size = value.as_ref().map_or(0, Vec::len);
        if size > MAX_VALUE {
            return Err(Error::TooLarge(format!(
                "a value has at most {MAX_VALUE} bytes, this one {size}; larger things are blobs"
            )));
        }
        self.reserve(size + key.key.len()).map_err(Error::TooLarge)?;
        self.unit.expiries.remove(&key);
        self.unit.writes.insert(key, value.map(Into::into));
        Ok(())
    }
}

/// Which keys a scan visits, as a prefix or a window.
pub(super) struct Wanted {
    pub(super) prefix: String,
    pub(super) after: Option<String>,
    pub(super) between: (Option<String>, Option<String>),
    pub(super) descending: bool,
}

impl Host for Guest {
    async fn get(&mut self, bucket: String, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(self.read(&bucket, &key).await)
    }

    fn set(&mut self, bucket: String, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.write(&bucket, &key, Some(value)))
    }

    fn delete(&mut self, bucket: String, key: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.write(&bucket, &key, None))
    }

    async fn scan(
        &mut self,
        bucket: String,
        range: WitRange,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        let WitRange { prefix, after, order } = range;
        let descending = matches!(order, Order::Descending);
        let wanted = Wanted { prefix, after, between: (None, None), descending };
        Ok(self.range(&bucket, wanted, limit).await)
    }

    async fn scan_window(
        &mut self,
        bucket: String,
        window: Window,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        let Window { start, end, order } = window;
        let descending = matches!(order, Order::Descending);
        let wanted = Wanted { prefix: String::new(), after: None, between: (start, end), descending };
        Ok(self.range(&bucket, wanted, limit).await)
    }

    fn set_for(
        &mut self,
        bucket: String,
        key: String,
        value: Vec<u8>,
        ttl: u64,
    ) -> wasmtime::Result<Result<(), Error>> {
        if !(1..=MAX_TTL).contains(&ttl) {
            let message = format!("a value lives 1 to {MAX_TTL} milliseconds; {ttl} were asked for");
            return Ok(Err(Error::TooLarge(message)));
        }
        let done = self.write(&bucket, &key, Some(value)).and_then(|()| self.key(&bucket, &key));
        Ok(done.map(|key| {
            self.unit.expiries.insert(key, monopod_core::now().saturating_add(ttl));
        }))
    }

    async fn get_versioned(
        &mut self,
        bucket: String,
        key: String,
    ) -> wasmtime::Result<Result<Option<Versioned>, Error>> {
        let found = self.committed(&bucket, &key).await;
        Ok(found.map(|(version, value)| value.map(|value| Versioned { value, version })))
    }

    async fn compare_and_set(
        &mut self,
        bucket: String,
        key: String,
        expected: Option<u64>,
        value: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        Ok(match self.committed(&bucket, &key).await {
            // No value has version 0, so that asking for it means the same as none.
            Ok((version, _)) if version == expected.unwrap_or(0) => {
                self.write(&bucket, &key, value).map(|()| true)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        })
    }
}
