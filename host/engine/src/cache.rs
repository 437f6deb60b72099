//! Compiled code on disk, so that a start takes milliseconds.
//!
//! Loading compiled code is running native code, so every file is sealed with a key
//! that only this installation has. A file that is damaged, foreign, or made for
//! another engine is thrown away and made again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use monopod_core::component::Component;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component as Code;

use crate::Error;

/// A file is this seal, then the code.
const SEAL: usize = 32;
const KEY_FILE: &str = "seal.key";
const KEY_LENGTH: usize = 32;

/// Where a component's code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiled {
    /// From the cache.
    Cached,
    /// Compiled now; for the first time, or since the cached file would not do.
    Now,
}

pub(crate) struct Cache {
    folder: PathBuf,
    /// Keyed, and over nothing yet.
    seal: Hmac<Sha256>,
    /// Names engine version, settings and CPU features.
    compatibility: String,
}

impl Cache {
    pub(crate) fn open(folder: PathBuf, engine: &Engine) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Cache { path, source }
        };
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let key_file = folder.join(KEY_FILE);
        let key = key(&key_file).map_err(failed(&key_file))?;
        let seal = <Hmac<Sha256> as Mac>::new_from_slice(&key).map_err(|e| Error::Engine(e.to_string()))?;
        Ok(Self { folder, seal, compatibility: compatibility(engine) })
    }

    /// The component's code: from the cache, or compiled and put there.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        component: &Component,
    ) -> Result<(Code, Compiled), Error> {
        let invalid = |reason: String| Error::Invalid { component: component.name.clone(), reason };
        let digest = component.digest.replace(':', "-");
        let file = self.folder.join(format!("{digest}-{}.cwasm", self.compatibility));
        if let Some(code) = self.load(engine, &file, component) {
            return Ok((code, Compiled::Cached));
        }
        let wasm = fs::read(&component.wasm).map_err(|e| {
            invalid(format!("{}: {e}\n  fix: build the bundle again", component.wasm.display()))
        })?;
        let found = format!("sha256:{}", hex::encode(Sha256::digest(&wasm)));
        if found != component.digest {
            return Err(invalid(format!(
                "{} was changed since its bundle was opened: its digest is {found}\n  fix: start again",
                component.wasm.display()
            )));
        }
        let compiled = compile(engine, &wasm).map_err(|e| invalid(explain(&wasm, &e)))?;
        if let Err(error) = self.store(&file, &compiled) {
            // The next start compiles again; this one goes on.
            tracing::warn!(component = %component.name, file = %file.display(), %error, "compiled code could not be cached");
        }
        let code = deserialize(engine, &compiled).map_err(|e| invalid(format!("{e:#}")))?;
        Ok((code, Compiled::Now))
    }

    fn load(&self, engine: &Engine, file: &Path, component: &Component) -> Option<Code> {
        let refused = |why: &str| {
            tracing::warn!(component = %component.name, file = %file.display(), why, "cached code refused; compiling again");
        };
        let content = match fs::read(file) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                refused(&error.to_string());
                return None;
            }
        };
        let Some((seal, code)) = content.split_at_checked(SEAL) else {
            refused("it is truncated");
            return None;
        };
        if self.mac(code).verify_slice(seal).is_err() {
            refused("its seal is broken: it was damaged, changed, or made by another installation");
            return None;
        }
        deserialize(engine, code).map_err(|error| refused(&format!("{error:#}"))).ok()
    }

    fn store(&self, file: &Path, code: &[u8]) -> io::Result<()> {
        // Two processes may share the folder: each writes its own file, the last rename wins.
        let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
        let seal = self.mac(code).finalize().into_bytes();
        let mut out = fs::File::create(&temporary)?;
        out.write_all(&seal)?;
        out.write_all(code)?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    }

    fn mac(&self, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.seal.clone();
        mac.update(code);
        mac
    }
}

/// Compiles with threads of its own: with them goes what the compiler needed. rayon's common pool
/// would live on and keep some 50 MB for its next work, of which there is none.
fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let threads = rayon::ThreadPoolBuilder::new().thread_name(|at| format!("compile-{at}")).build()?;
    threads.install(|| engine.precompile_component(wasm))
}

fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Code> {
    // SAFETY: `code` was made by this process, or carries a seal that only this
    // installation can make over exactly these bytes.
    #[expect(unsafe_code, reason = "compiled code can only be loaded this way; its seal was checked")]
    unsafe {
        Code::deserialize(engine, code)
    }
}

/// What wasmtime says code must match to be loaded, as a short file name part.
fn compatibility(engine: &Engine) -> String {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn key(file: &Path) -> io::Result<Vec<u8>> {
    match fs::read(file) {
        Ok(key) if key.len() == KEY_LENGTH => return Ok(key),
        Ok(_) => tracing::warn!(file = %file.display(), "the seal key was damaged; a new one is made"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key: Vec<u8> = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()]
        .iter()
        .flat_map(|id| id.into_bytes())
        .take(KEY_LENGTH)
        .collect();
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(&key)?;
    Ok(key)
}

/// Says what was given instead of a component, where that can be told.
fn explain(wasm: &[u8], error: &wasmtime::Error) -> String {
    match wasm.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            "it is a core module, not a component\n  fix: build for the target wasm32-wasip2".into()
        }
        Some([0, b'a', b's', b'm', ..]) => format!("{error:#}"),
        _ => "it is not WebAssembly\n  fix: build the bundle again".into(),
    }
}
