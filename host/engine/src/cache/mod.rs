//! Compiled code on disk, so that a start takes milliseconds.
//!
//! Loading compiled code is running native code, so every file is sealed with a key
//! that only this installation has ([`seal`]). A file that is damaged, foreign, or made for
//! another engine is said to be so and made again. One that is sound is mapped: its pages are
//! read when they are first run, and shared by all processes that map them.
//!
//! A file is the code, then its seal; its name says of which component and for which engine,
//! settings and processor. Files are written under another name and then renamed, so any number
//! of processes may share the folder. A mapped file must never be written to in place.

mod prune;
mod seal;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use monopod_core::component::Component;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component as Code;

use crate::examine::{self, Problem};
use crate::{Error, priority};
use seal::Seal;

/// How the names of files of code end.
const ENDING: &str = "cwasm";
/// How those of files end that are being written.
const TEMPORARY: &str = "tmp";
/// How exact a file's time of last use is: a start does not write to every file that it loads.
const USED: Duration = Duration::from_secs(86_400);

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
    seal: Seal,
    /// Names engine version, settings and CPU features.
    compatibility: String,
    /// Names of the files that this start has loaded.
    used: Mutex<HashSet<OsString>>,
}

impl Cache {
    pub(crate) fn open(folder: PathBuf, engine: &Engine) -> Result<Self, Error> {
        let failed = |source| Error::Cache { path: folder.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let seal = Seal::open(&folder).map_err(failed)?;
        Ok(Self { seal, compatibility: compatibility(engine), used: Mutex::default(), folder })
    }

    /// The component's code, if it is here and sound.
    pub(crate) fn cached(&self, engine: &Engine, component: &Component) -> Option<Code> {
        self.load(engine, &self.name(component), component)
    }

    /// Compiles the component and puts its code here.
    pub(crate) fn compile(&self, engine: &Engine, component: &Component) -> Result<Code, Problem> {
        let wasm = examine::read(component)?;
        let found = format!("sha256:{}", hex::encode(Sha256::digest(&wasm)));
        if found != component.digest {
            let file = component.wasm.display();
            let what = format!("{file} was changed since its bundle was opened: its digest is {found}");
            return Err(Problem::new(what, "start again"));
        }
        // What is compiled is what was looked at: the file may have been another one before.
        examine::scan(&wasm, component)?;
        let compiled = compile(engine, wasm)?;
        let name = self.name(component);
        if let Err(error) = self.store(&name, &compiled) {
            // The next start compiles again; this one goes on.
            tracing::warn!(component = %component.name, folder = %self.folder.display(), %error, "compiled code could not be cached");
        } else if let Some(code) = self.load(engine, &name, component) {
            return Ok(code);
        }
        deserialize(engine, &compiled).map_err(|error| invalid(&error))
    }

    fn name(&self, component: &Component) -> String {
        format!("{}-{}.{ENDING}", component.digest.replace(':', "-"), self.compatibility)
    }

    /// The code in the file of this name, if it is there and may be loaded.
    fn load(&self, engine: &Engine, name: &str, component: &Component) -> Option<Code> {
        let path = self.folder.join(name);
        let refused = |why: &str| {
            tracing::warn!(component = %component.name, file = %path.display(), why, "cached code refused; compiling again");
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                refused(&error.to_string());
                return None;
            }
        };
        self.seal.check(name, &mut file).map_err(|why| refused(&why)).ok()?;
        let code = match map(engine, &file) {
            Ok(code) => code,
            // A folder from which nothing may be run (noexec), or a system without /proc: what
            // cannot be mapped is read, and what was read is checked.
            Err(error) => {
                tracing::debug!(file = %path.display(), %error, "compiled code is read, for it cannot be mapped");
                let content = fs::read(&path).map_err(|error| refused(&error.to_string())).ok()?;
                let code = self.seal.code(name, &content)?;
                deserialize(engine, code).map_err(|error| refused(&format!("{error:#}"))).ok()?
            }
        };
        touch(&file);
        if let Ok(mut used) = self.used.lock() {
            used.insert(name.into());
        }
        Some(code)
    }

    /// Writes a file of this name, whole or not at all. A power cut may leave it torn: then its
    /// seal says so, and waiting for the disk would gain nothing.
    fn store(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let file = self.folder.join(name);
        let temporary = temporary(&file);
        // Read-only, because it will be mapped.
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&temporary)?;
        let written = out.write_all(code).and_then(|()| out.write_all(&self.seal.of(name, code)));
        written.and_then(|()| fs::rename(&temporary, &file)).inspect_err(|_| {
            // A full disk is not helped by half a file.
            let _left = fs::remove_file(&temporary);
        })
    }
}

/// Removes what is no longer needed of a folder that these share. Takes some milliseconds; to be
/// called once all is loaded.
pub(crate) fn prune(caches: &[Cache]) {
    let Some(first) = caches.first() else { return };
    let mut used = HashSet::new();
    for cache in caches {
        used.extend(cache.used.lock().map(|mut used| std::mem::take(&mut *used)).unwrap_or_default());
    }
    prune::prune(&first.folder, &used);
}

/// A name beside `file` that nobody else writes to.
fn temporary(file: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    file.with_extension(format!("{}-{number}.{TEMPORARY}", std::process::id()))
}

/// Remembers when the file was last of use.
fn touch(file: &File) {
    let modified = file.metadata().and_then(|meta| meta.modified());
    if modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > USED)) {
        // It may be another user's; then it is pruned too early and compiled again.
        let _old = file.set_modified(std::time::SystemTime::now());
    }
}

/// How long compiling one component may take, on a machine that is busy with other things; the
/// largest that a known toolchain makes takes a minute of one core. It cannot be interrupted, so
/// after this it is given up: its threads go on until they are done, for nobody. What bounds them
/// is the size of what they compile.
const MAX_COMPILE: Duration = Duration::from_secs(10 * 60);
/// Deep enough for functions as deeply nested as the bound on their size lets them be.
const COMPILE_STACK: usize = 16 << 20;

/// Compiles with threads of its own: with them goes what the compiler needed. rayon's common pool
/// would live on and keep some 50 MB for its next work, of which there is none.
fn compile(engine: &Engine, wasm: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let (done, result) = mpsc::channel();
    let engine = engine.clone();
    let work = move || {
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(|at| format!("compile-{at}"))
            .stack_size(COMPILE_STACK)
            // What is served meanwhile comes first.
            .start_handler(|_| priority::lower(priority::LOW))
            .build();
        let compiled = match threads {
            Ok(threads) => threads.install(|| engine.precompile_component(&wasm)),
            Err(error) => Err(error.into()),
        };
        // Nobody listens any more when it took too long.
        let _ = done.send(compiled);
    };
    let spawned = std::thread::Builder::new().name("compile".into()).spawn(work);
    spawned.map_err(|error| Problem::new(format!("no thread to compile it: {error}"), "start again"))?;
    match result.recv_timeout(MAX_COMPILE) {
        Ok(compiled) => compiled.map_err(|error| invalid(&error)),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Problem::new(
            format!("compiling it took longer than {} minutes", MAX_COMPILE.as_secs() / 60),
            "build it smaller, for release and without debug information, or split it",
        )),
        // The thread ended without an answer: the compiler panicked.
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(Problem::new("the compiler failed over it", "build it with other tools, and report this"))
        }
    }
}

/// The compiler's own word.
fn invalid(error: &wasmtime::Error) -> Problem {
    Problem::new(format!("it is not valid: {error:#}"), "build it with tools for WASI 0.2 or 0.3")
}

/// Maps the very file that was checked: by its descriptor, because another may have its name by now.
fn map(engine: &Engine, file: &File) -> wasmtime::Result<Code> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the file carries a seal that only this installation can make over exactly these
    // bytes, nobody else may write to it, and whoever replaces it leaves this one as it is.
    #[expect(unsafe_code, reason = "compiled code can only be loaded this way; its seal was checked")]
    unsafe {
        Code::deserialize_file(engine, path)
    }
}

fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Code> {
    // SAFETY: `code` was made by this process, or carries a seal that only this installation can make.
    #[expect(unsafe_code, reason = "compiled code can only be loaded this way")]
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
