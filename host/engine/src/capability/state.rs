//! `monopod:state`: buckets, read through the unit of work.

use std::collections::BTreeMap;
use std::sync::Arc;

use monopod_core::name::BucketName;
use monopod_core::store;
use monopod_core::unit::{Key, MAX_KEY, MAX_SCAN, MAX_VALUE, Range, Scan};

use crate::bindings::monopod::state::buckets::{Entry, Error, Host, Order, Range as WitRange};
use crate::guest::Guest;

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Guest {
    fn bucket(&self, bucket: &str) -> Result<BucketName, Error> {
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

    async fn read(&mut self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = self.key(bucket, key)?;
        if let Some(written) = self.unit.writes.get(&key) {
            return Ok(written.as_ref().map(|value| value.to_vec()));
        }
        let record = self.shared.store.get(&key).await?;
        let version = record.as_ref().map_or(0, |r| r.version);
        // The first version counts: if a later read sees another, the commit finds out.
        self.unit.reads.entry(key).or_insert(version);
        Ok(record.map(|r| r.value.to_vec()))
    }

    async fn range(&mut self, bucket: &str, range: WitRange, limit: u32) -> Result<Vec<Entry>, Error> {
        let bucket = self.bucket(bucket)?;
        if !(1..=MAX_SCAN).contains(&limit) {
            return Err(Error::TooLarge(format!(
                "a scan returns 1 to {MAX_SCAN} entries; {limit} were asked for"
            )));
        }
        if range.prefix.len() > MAX_KEY || range.after.as_ref().is_some_and(|after| after.len() > MAX_KEY) {
            return Err(Error::TooLarge(format!("a key has at most {MAX_KEY} bytes")));
        }
        let descending = matches!(range.order, Order::Descending);
        let component = &self.loaded.component.name;
        let visited = |key: &str| {
            key.starts_with(&range.prefix)
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
            descending,
            limit: limit.saturating_add(more),
        };
        let found = self.shared.store.scan(&range).await?;
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

    fn write(&mut self, bucket: &str, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        let key = self.key(bucket, key)?;
        let size = value.as_ref().map_or(0, Vec::len);
        if size > MAX_VALUE {
            return Err(Error::TooLarge(format!(
                "a value has at most {MAX_VALUE} bytes, this one {size}; larger things are blobs"
            )));
        }
        self.reserve(size + key.key.len()).map_err(Error::TooLarge)?;
        self.unit.writes.insert(key, value.map(Into::into));
        Ok(())
    }
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
        Ok(self.range(&bucket, range, limit).await)
    }
}
