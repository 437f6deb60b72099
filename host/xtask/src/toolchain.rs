//! The compiler of the guests: finds out what is here, fetches what `choice` decides on, and
//! tells cargo how to build with it. A refusal of rustup is remembered for a day.

use crate::choice::{Facts, Next, PAIR, TARGET, Way, next};
use crate::debian;
use crate::place::Place;
use crate::process;
use crate::ui::{self, Step};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long rustup may try: 30 MB on a slow line. Where it is cut off it answers at once.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);
/// How long a refusal of rustup is believed, before it is asked again.
const REFUSAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The compiler that was chosen, ready to be used.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// Which way.
    pub way: Way,
    /// Why, for people.
    pub why: String,
    /// Version of the compiler of the guests, such as `1.96.0`.
    pub version: String,
    sysroot: PathBuf,
}

impl Toolchain {
    /// A name for its target folder, that no other compiler has.
    pub fn key(&self) -> String {
        let way = match self.way {
            Way::Rustup => "rustup",
            Way::DebianPair => "debian",
        };
        format!("{way}-{}", self.version)
    }

    /// Adds what cargo needs in order to build with it.
    pub fn apply(&self, cargo: &mut Command) {
        cargo.args(["--target", TARGET]);
        if self.way == Way::Rustup {
            return;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(linkers(&self.sysroot));
        // Folders of a toolchain hold no path separator; if one did, PATH stays as it is.
        cargo.env("PATH", std::env::join_paths(folders).unwrap_or(path));
        cargo
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC", DEBIAN_RUSTC)
            // `-Z` is for nightly compilers; Debian's is a stable one of exactly its library.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("-L {WASI_LIBC}"));
    }
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// Where the installed toolchain keeps `rust-lld`, `wasm-ld` and `wasm-component-ld`.
pub fn linkers(sysroot: &Path) -> [PathBuf; 2] {
    let bin = sysroot.join("lib/rustlib").join(host_triple()).join("bin");
    [bin.clone(), bin.join("gcc-ld")]
}

/// The triple of the machine; Debian's pair and these linkers exist for these two.
fn host_triple() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}

/// Version of the host's compiler and where it lives.
pub struct Rustc {
    /// Such as `1.95.0`.
    pub version: String,
    /// Root of the toolchain.
    pub sysroot: PathBuf,
}

/// Asks for the host's compiler. Cargo itself refuses one that is older than the workspace's
/// `rust-version`, by name and version.
pub fn rustc() -> Result<Rustc> {
    let ask = |arguments: &[&str]| process::line(Command::new("rustc").args(arguments));
    let version = ask(&["-V"]).context("rustc does not answer: install Rust, https://rustup.rs")?;
    let sysroot = ask(&["--print", "sysroot"]).context("rustc does not say where it lives")?;
    Ok(Rustc { version: number(&version), sysroot: sysroot.into() })
}

/// `rustc 1.95.0 (5980 2026-04-14)` -> `1.95.0`.
fn number(version: &str) -> String {
    version.split_whitespace().nth(1).unwrap_or(version).to_owned()
}

/// Chooses the compiler of the guests and brings it here if it is missing.
pub fn ready(place: &Place, rustc: &Rustc, step: &mut Step) -> Result<Toolchain> {
    let memory = Refusal { file: place.cache.join(format!("no-{TARGET}-{}", rustc.version)) };
    let mut refused = memory.read();
    // Each of the two steps can be asked for once; a third round would find nothing new.
    for _ in 0..3 {
        match next(&facts(rustc, refused.clone())?) {
            Next::Use(way, why) => return chosen(way, why, rustc),
            Next::AddTarget => match add_target(step) {
                Ok(()) if target_here(rustc) => {}
                Ok(()) => refused = Some("rustup brought no target for this compiler".into()),
                Err(why) => {
                    memory.write(&why)?;
                    refused = Some(why);
                }
            },
            Next::InstallPair => debian::install(step, &PAIR)?,
            Next::Stop(message) => bail!(message),
        }
    }
    bail!("no compiler for {TARGET}, although its packages were installed")
}

fn facts(rustc: &Rustc, refused: Option<String>) -> Result<Facts> {
    let wish = match std::env::var("MONOPOD_WASM").as_deref() {
        Ok("rustup") => Some(Way::Rustup),
        Ok("debian") => Some(Way::DebianPair),
        Ok("") | Err(_) => None,
        Ok(other) => bail!("MONOPOD_WASM is `rustup` or `debian`, not `{other}`"),
    };
    Ok(Facts {
        wish,
        target_here: target_here(rustc),
        rustup: debian::on_path("rustup"),
        refused,
        pair_here: [DEBIAN_RUSTC, DEBIAN_SOURCE, WASI_LIBC].iter().all(|path| Path::new(path).exists()),
        apt: debian::has_apt(),
        root: debian::is_root(),
    })
}

fn target_here(rustc: &Rustc) -> bool {
    rustc.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

fn chosen(way: Way, why: String, rustc: &Rustc) -> Result<Toolchain> {
    let version = match way {
        Way::Rustup => rustc.version.clone(),
        Way::DebianPair => {
            let linker = linkers(&rustc.sysroot)[0].join("wasm-component-ld");
            if !linker.is_file() {
                bail!("Debian's pair needs {}, which comes with a toolchain of rustup", linker.display());
            }
            number(
                &process::line(Command::new(DEBIAN_RUSTC).arg("-V"))
                    .context("Debian's rustc does not answer")?,
            )
        }
    };
    Ok(Toolchain { way, why, version, sysroot: rustc.sysroot.clone() })
}

/// Asks rustup; its reason, in one line, if it cannot.
fn add_target(step: &mut Step) -> Result<(), String> {
    let text = format!("rustup target add {TARGET}");
    step.tick(&text);
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1");
    match process::ask(&mut command, Some(RUSTUP_LIMIT), &mut || step.tick(&text)) {
        Ok(answer) if answer.ending.ok() => Ok(()),
        Ok(answer) if matches!(answer.ending, process::Ending::TimedOut) => {
            Err(format!("rustup had no answer in {}", ui::duration(RUSTUP_LIMIT)))
        }
        Ok(answer) => Err(reason(&answer.err)),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// The first line that rustup calls an error.
fn reason(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("error: "));
    format!("rustup says: {}", line.unwrap_or("nothing").trim())
}

/// A remembered refusal, so that the second run does not wait for it again.
struct Refusal {
    file: PathBuf,
}

impl Refusal {
    fn read(&self) -> Option<String> {
        let age = self.file.metadata().ok()?.modified().ok()?.elapsed().ok()?;
        if age > REFUSAL_AGE {
            return None;
        }
        Some(std::fs::read_to_string(&self.file).ok()?.trim().to_owned())
    }

    fn write(&self, why: &str) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&self.file, why).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_the_next_run() {
        let folder = std::env::temp_dir().join(format!("xtask-refusal-{}", std::process::id()));
        let memory = Refusal { file: folder.join("no-target") };
        assert_eq!(memory.read(), None);
        memory.write("rustup says: no network").unwrap();
        assert_eq!(memory.read().as_deref(), Some("rustup says: no network"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn versions_and_reasons_are_read_from_what_the_tools_print() {
        assert_eq!(number("rustc 1.95.0 (59807616e 2026-04-14)"), "1.95.0");
        assert_eq!(
            reason("info: downloading component\nerror: could not download file\n"),
            "rustup says: could not download file"
        );
    }
}
