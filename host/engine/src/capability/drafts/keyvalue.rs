//! `wasi:keyvalue`: the component's own buckets, under the grants and inside the unit of work of
//! `monopod:state`. So an increment is atomic with everything else the call does, a batch is
//! written whole or not at all, and nothing is visible to others before the call has ended well.
//!
//! Counters are kept as decimal text, as other hosts keep them.

use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceTableError, ResourceType,
};
use wasmtime_wasi::WasiView;

use super::names::{KEYVALUE, KEYVALUE_2};
use crate::bindings::monopod::state::buckets;
use crate::capability::state::Wanted;
use crate::guest::Guest;

/// How many keys one page of a listing has: what one scan returns.
const PAGE: u32 = monopod_core::unit::MAX_SCAN;
/// How many pages the numbered cursors of one call can point at.
const MAX_CURSORS: usize = 1_000;
/// How many keys one batch may have: each is a change of the unit.
const MAX_BATCH: usize = monopod_core::unit::MAX_CHANGES;

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "no-such-store")]
    /// Not said: a bucket that is not granted may or may not exist.
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<buckets::Error> for Error {
    fn from(error: buckets::Error) -> Self {
        match error {
            buckets::Error::NotGranted(_) => Self::AccessDenied,
            buckets::Error::TooLarge(why) | buckets::Error::Unavailable(why) | buckets::Error::Other(why) => {
                Self::Other(why)
            }
        }
    }
}

/// A handle that was made up, or dropped: the guest is broken.
impl From<ResourceTableError> for Error {
    fn from(error: ResourceTableError) -> Self {
        Self::Other(error.to_string())
    }
}

/// An open bucket: its name.
struct Bucket(String);

type Answer<T> = wasmtime::Result<(Result<T, Error>,)>;
type Entry = (String, Vec<u8>);

/// A page of keys, with the cursor to the next one in the shape of its draft.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Keys<C> {
    #[component(name = "keys")]
    keys: Vec<String>,
    #[component(name = "cursor")]
    cursor: Option<C>,
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for version in KEYVALUE {
        let mut store = linker.instance(&format!("wasi:keyvalue/store@{version}"))?;
        shared(&mut store)?;
        store.func_wrap_async(
            "[method]bucket.list-keys",
            |mut store: StoreContextMut<'_, Guest>, (bucket, cursor): (Resource<Bucket>, Option<u64>)| {
                Box::new(async move { answer(store.data_mut().numbered(bucket, cursor).await) })
            },
        )?;
        linker.instance(&format!("wasi:keyvalue/atomics@{version}"))?.func_wrap_async(
            "increment",
            |mut store: StoreContextMut<'_, Guest>, (bucket, key, delta): (Resource<Bucket>, String, u64)| {
                Box::new(async move {
                    let add = |now: u64| now.checked_add(delta);
                    answer(store.data_mut().count(bucket, &key, add).await)
                })
            },
        )?;
        let mut batch = linker.instance(&format!("wasi:keyvalue/batch@{version}"))?;
        batches(&mut batch)?;
        batch.func_wrap_async(
            "get-many",
            |mut store: StoreContextMut<'_, Guest>, (bucket, keys): (Resource<Bucket>, Vec<String>)| {
                Box::new(async move {
                    let found = store.data_mut().get_many(bucket, keys).await;
                    // This draft names the key of what is there.
                    let named = |(key, value): (String, Option<Vec<u8>>)| Some((key, value?));
                    answer(found.map(|all| all.into_iter().map(named).collect::<Vec<Option<Entry>>>()))
                })
            },
        )?;
    }
    for version in KEYVALUE_2 {
        let mut store = linker.instance(&format!("wasi:keyvalue/store@{version}"))?;
        shared(&mut store)?;
        store.func_wrap_async(
            "[method]bucket.list-keys",
            |mut store: StoreContextMut<'_, Guest>, (bucket, cursor): (Resource<Bucket>, Option<String>)| {
                Box::new(async move { answer(store.data_mut().keys(bucket, cursor).await) })
            },
        )?;
        linker.instance(&format!("wasi:keyvalue/atomics@{version}"))?.func_wrap_async(
            "increment",
            |mut store: StoreContextMut<'_, Guest>, (bucket, key, delta): (Resource<Bucket>, String, i64)| {
                Box::new(async move {
                    let add = |now: i64| now.checked_add(delta);
                    answer(store.data_mut().count(bucket, &key, add).await)
                })
            },
        )?;
        let mut batch = linker.instance(&format!("wasi:keyvalue/batch@{version}"))?;
        batches(&mut batch)?;
        batch.func_wrap_async(
            "get-many",
            |mut store: StoreContextMut<'_, Guest>, (bucket, keys): (Resource<Bucket>, Vec<String>)| {
                Box::new(async move { answer(store.data_mut().get_many(bucket, keys).await) })
            },
        )?;
    }
    Ok(())
}

/// What the drafts have in common of `store`.
fn shared(store: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    store.resource("bucket", ResourceType::host::<Bucket>(), |mut store, handle| {
        store.data_mut().ctx().table.delete(Resource::<Bucket>::new_own(handle))?;
        Ok(())
    })?;
    store.func_wrap("open", |mut store: StoreContextMut<'_, Guest>, (name,): (String,)| {
        answer(store.data_mut().open_bucket(name))
    })?;
    store.func_wrap_async(
        "[method]bucket.get",
        |mut store: StoreContextMut<'_, Guest>, (bucket, key): (Resource<Bucket>, String)| {
            Box::new(async move { answer(store.data_mut().value(&bucket, &key).await) })
        },
    )?;
    store.func_wrap_async(
        "[method]bucket.exists",
        |mut store: StoreContextMut<'_, Guest>, (bucket, key): (Resource<Bucket>, String)| {
            Box::new(async move {
                answer(store.data_mut().value(&bucket, &key).await.map(|value| value.is_some()))
            })
        },
    )?;
    store.func_wrap(
        "[method]bucket.set",
        |mut store: StoreContextMut<'_, Guest>, (bucket, key, value): (Resource<Bucket>, String, Vec<u8>)| {
            answer(store.data_mut().put(&bucket, &key, Some(value)))
        },
    )?;
    store.func_wrap(
        "[method]bucket.delete",
        |mut store: StoreContextMut<'_, Guest>, (bucket, key): (Resource<Bucket>, String)| {
            answer(store.data_mut().put(&bucket, &key, None))
        },
    )
}

/// What they have in common of `batch`.
fn batches(batch: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    batch.func_wrap(
        "set-many",
        |mut store: StoreContextMut<'_, Guest>, (bucket, entries): (Resource<Bucket>, Vec<Entry>)| {
            let guest = store.data_mut();
            answer(few(entries.len()).and_then(|()| {
                entries.into_iter().try_for_each(|(key, value)| guest.put(&bucket, &key, Some(value)))
            }))
        },
    )?;
    batch.func_wrap(
        "delete-many",
        |mut store: StoreContextMut<'_, Guest>, (bucket, keys): (Resource<Bucket>, Vec<String>)| {
            let guest = store.data_mut();
            answer(
                few(keys.len()).and_then(|()| keys.iter().try_for_each(|key| guest.put(&bucket, key, None))),
            )
        },
    )
}

fn answer<T>(result: Result<T, Error>) -> Answer<T> {
    Ok((result,))
}

fn few(keys: usize) -> Result<(), Error> {
    if keys <= MAX_BATCH {
        return Ok(());
    }
    Err(Error::Other(format!("a batch has at most {MAX_BATCH} keys, this one {keys}")))
}

impl Guest {
    fn open_bucket(&mut self, name: String) -> Result<Resource<Bucket>, Error> {
        self.bucket(&name)?;
        Ok(self.ctx().table.push(Bucket(name))?)
    }

    fn named(&mut self, bucket: &Resource<Bucket>) -> Result<String, Error> {
        Ok(self.ctx().table.get(bucket)?.0.clone())
    }

    async fn value(&mut self, bucket: &Resource<Bucket>, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = self.named(bucket)?;
        Ok(self.read(&name, key).await?)
    }

    fn put(&mut self, bucket: &Resource<Bucket>, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        let name = self.named(bucket)?;
        Ok(self.write(&name, key, value)?)
    }

    /// Adds to a counter. The value read is part of the unit, so two calls that count at once
    /// cannot both commit what they read.
    async fn count<N>(
        &mut self,
        bucket: Resource<Bucket>,
        key: &str,
        add: impl FnOnce(N) -> Option<N>,
    ) -> Result<N, Error>
    where
        N: std::str::FromStr + ToString + Default,
    {
        let wrong = || Error::Other(format!("the value of `{key}` is not a number"));
        let now = match self.value(&bucket, key).await? {
            None => N::default(),
            Some(value) => {
                std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?
            }
        };
        let sum = add(now).ok_or_else(|| Error::Other(format!("the counter `{key}` would overflow")))?;
        self.put(&bucket, key, Some(sum.to_string().into_bytes()))?;
        Ok(sum)
    }

    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        few(keys.len())?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.value(&bucket, &key).await?;
            found.push((key, value));
        }
        Ok(found)
    }

    /// The keys behind `after`, in order.
    async fn keys(&mut self, bucket: Resource<Bucket>, after: Option<String>) -> Result<Keys<String>, Error> {
        let name = self.named(&bucket)?;
        let range = Wanted { prefix: String::new(), after, between: (None, None), descending: false };
        let keys: Vec<String> =
            self.range(&name, range, PAGE).await?.into_iter().map(|entry| entry.key).collect();
        let full = u32::try_from(keys.len()).is_ok_and(|found| found >= PAGE);
        let cursor = keys.last().filter(|_| full).cloned();
        Ok(Keys { keys, cursor })
    }

    /// The same for the draft whose cursors are numbers: they count the pages of this call.
    async fn numbered(&mut self, bucket: Resource<Bucket>, cursor: Option<u64>) -> Result<Keys<u64>, Error> {
        let after = match cursor {
            None => None,
            Some(cursor) => {
                let known = usize::try_from(cursor).ok().and_then(|at| self.cursors.get(at).cloned());
                Some(known.ok_or_else(|| Error::Other("this cursor was not given out in this call".into()))?)
            }
        };
        let page = self.keys(bucket, after).await?;
        let cursor = match page.cursor {
            Some(_) if self.cursors.len() >= MAX_CURSORS => {
                return Err(Error::Other(format!("one call lists at most {MAX_CURSORS} pages of keys")));
            }
            Some(last) => {
                self.cursors.push(last);
                u64::try_from(self.cursors.len() - 1).ok()
            }
            None => None,
        };
        Ok(Keys { keys: page.keys, cursor })
    }
}
