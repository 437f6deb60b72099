//! The guest that answers as it is told (`tests/guests/puppet`), in an engine of its own, and what
//! must be true of whatever comes out. Used by fuzzing, and by `hostile` for the seeds of it.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::BodyExt;
use monopod_core::component::{Component, Grants, Limits};
use monopod_core::context::Context;
use monopod_core::full;
use monopod_core::identity::Principal;
use monopod_core::invoke::{Components, Error};
use monopod_engine::Engine;

use crate::rooms::Rooms;

/// Long against what a script takes, on any machine; some wait for ever.
const DEADLINE: Duration = Duration::from_secs(10);

/// Scripts that fuzzing begins with, and those it found something with.
pub fn seeds() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = crate::checkout().join("tests/fuzz/seeds/response");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut seeds: Vec<_> = files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
    seeds.sort();
    seeds
}

/// The engine with the puppet in it.
pub struct Puppet {
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Puppet {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "it starts an engine")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = crate::bundle("puppet");
        let component = Component {
            name: "puppet".parse().unwrap(),
            version: bundle.version,
            wasm: bundle.wasm,
            digest: bundle.wasm_digest,
            schema: None,
            settings: Default::default(),
            grants: Grants::default(),
            limits: Limits { deadline: DEADLINE, concurrency: 4, ..Limits::default() },
            instances: Default::default(),
        };
        let settings = Rooms::open(&folder.path().join("state")).around(&folder.path().join("cache"));
        let (engine, _) = Engine::load(settings, vec![component]).unwrap();
        Self { engine, _folder: folder }
    }

    /// The kind of answer to a script, or the promise that it broke.
    pub async fn answer(&self, script: &[u8]) -> Result<String, String> {
        let request = http::Request::post("/").body(full(script.to_vec())).unwrap();
        let context = Context::new(Principal::Anonymous, DEADLINE);
        match self.engine.http(&"puppet".parse().unwrap(), request, &context).await {
            Ok(response) => sound(response).await,
            Err(Error::Trapped { reason, .. }) => {
                Ok(reason.chars().filter(|c| !c.is_ascii_digit()).take(60).collect())
            }
            // It waits for somebody to read a body that it has not set.
            Err(Error::TimedOut(_)) => Ok("late".to_owned()),
            Err(other) => Err(format!("another error than a failed guest: {other}")),
        }
    }
}

/// Whether a client can be written this response, and nobody can be misled by it.
async fn sound(response: http::Response<monopod_core::Body>) -> Result<String, String> {
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    // One that is on its way can only break off: the client sees that it is not whole.
    let body = body.collect().await.ok();
    if !(200..=599).contains(&status) {
        return Err(format!("status {status} is no final answer"));
    }
    for name in ["transfer-encoding", "connection", "upgrade", "keep-alive", "proxy-authenticate"] {
        if parts.headers.contains_key(name) {
            return Err(format!("header {name} is the connection's own"));
        }
    }
    let Some(body) = body else { return Ok(format!("{status} broken off")) };
    let (trailers, body) = (body.trailers().is_some(), body.to_bytes());
    let mut lengths = parts.headers.get_all("content-length").iter();
    if let Some(length) = lengths.next() {
        let empty = matches!(status, 204 | 304);
        let says = length.to_str().ok().and_then(|text| text.parse::<usize>().ok());
        if lengths.next().is_some() || (says != Some(body.len()) && !(empty && body.is_empty())) {
            return Err(format!("content-length {length:?} of a body of {} bytes", body.len()));
        }
    }
    Ok(format!("{status} {} {} {trailers}", parts.headers.len().min(8), body.len().min(3)))
}
