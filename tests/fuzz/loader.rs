//! Components that are damaged or hostile, against the loader: looked at, compiled, linked. It
//! answers with a component that is ready, or with reasons; twice the same.

use monopod_core::component::{Component, Grants, Limits};
use monopod_core::size::Size;
use monopod_engine::{Engine, Error};
use monopod_tests::rooms::Rooms;
use tempfile::TempDir;

use crate::run::Target;

pub struct Loader {
    folder: TempDir,
    rooms: Rooms,
    seeds: Vec<Vec<u8>>,
}

impl Loader {
    pub fn new() -> Self {
        let seeds = monopod_tests::checkout().join("host/engine/tests/seeds/loader");
        let mut seeds: Vec<Vec<u8>> = std::fs::read_dir(seeds)
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        seeds.sort();
        let folder = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(&folder.path().join("state"));
        Self { folder, rooms, seeds }
    }

    fn component(&self, wasm: &[u8]) -> Component {
        let file = self.folder.path().join("code.wasm");
        std::fs::write(&file, wasm).unwrap();
        Component {
            name: "x".parse().unwrap(),
            version: "0.1.0".into(),
            wasm: file,
            digest: monopod_tests::digest(wasm),
            schema: None,
            settings: Default::default(),
            grants: Grants { buckets: ["b".parse().unwrap()].into(), ..Grants::default() },
            limits: Limits { memory: Size::mebibytes(16), concurrency: 1, ..Limits::default() },
            instances: Default::default(),
        }
    }
}

impl Target for Loader {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let texts =
            ["wasi:http/types@0.2.12", "wasi:nn/x@0.1.0", "monopod:state/buckets@0.1.0", "cm32p2", "run"];
        let heads: [&[u8]; 4] = [
            b"\0asm\x0d\0\x01\0",
            b"\0asm\x01\0\0\0",
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x80, 0x80, 0x80, 0x80, 0x00],
        ];
        texts.iter().map(|text| text.as_bytes().to_vec()).chain(heads.map(<[u8]>::to_vec)).collect()
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        let component = self.component(input);
        let looked = monopod_engine::check(std::slice::from_ref(&component)).into_iter().next();
        let cache = self.folder.path().join("cache");
        let loaded = Engine::load(self.rooms.around(&cache), vec![component]);
        // Every input has a file there; what is kept of this run is not its compiled code.
        let _ = std::fs::remove_dir_all(cache);
        match (looked, loaded) {
            (None, Ok(_)) => Ok("ready".to_owned()),
            (Some(refusal), Ok(_)) => Err(format!("refused by a look, and loaded: {refusal}")),
            (_, Err(Error::Refused(refusals))) => {
                let problem = refusals.first().and_then(|refusal| refusal.problems.first());
                let problem = problem.ok_or("refused without a reason")?;
                // Without numbers, so that places and counts are not news.
                Ok(problem.what.chars().filter(|c| !c.is_ascii_digit()).take(80).collect())
            }
            (_, Err(other)) => Err(format!("the engine failed: {other}")),
        }
    }
}
