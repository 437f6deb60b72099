//! Where things are: the checkout, the cache, the target folders. Every other module takes
//! its paths from here, so that nothing else reads `HOME` or the working directory.

use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder of the sample photos, in the checkout.
pub const SAMPLES: &str = "tests/samples";

/// The folders that the tasks work in.
pub struct Place {
    /// The checkout.
    pub root: PathBuf,
    /// What survives a fresh clone: compiled code, tools, remembered answers.
    pub cache: PathBuf,
    /// Cargo's target folder for the host.
    pub target: PathBuf,
}

impl Place {
    /// Finds the checkout around the working directory, and the cache of this user.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the working directory is gone")?;
        let root = checkout(&here).with_context(|| format!("{} is not in a checkout", here.display()))?;
        let cache = cache(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))
            .context("neither XDG_CACHE_HOME nor HOME says where the cache can be")?;
        let target = match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => root.join(dir),
            None => cache.join("target"),
        };
        Ok(Self { root, cache, target })
    }

    /// The workspace of the guests.
    pub fn components(&self) -> PathBuf {
        self.root.join("components")
    }

    /// Where the bundles of this checkout are: beside its platform file, not in the shared
    /// cache, because two checkouts have different bundles of the same names.
    pub fn bundles(&self) -> PathBuf {
        self.root.join("target/bundles")
    }

    /// The built host.
    pub fn host(&self) -> PathBuf {
        self.target.join("release/monopod")
    }

    /// The photos that the repository carries.
    pub fn samples(&self) -> PathBuf {
        self.root.join(SAMPLES)
    }

    /// A target folder for guests. One for each compiler: two that share a folder would build
    /// the standard library anew at every change of compiler.
    pub fn guests(&self, compiler: &str) -> PathBuf {
        self.cache.join("guests").join(compiler)
    }

    /// Where helper programs are installed, by `cargo install --root`.
    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }
}

fn checkout(from: &Path) -> Option<PathBuf> {
    from.ancestors().find(|dir| dir.join("host/xtask/Cargo.toml").is_file()).map(Path::to_path_buf)
}

fn cache(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let set = |dir: &OsString| !dir.is_empty();
    let base = xdg
        .filter(set)
        .map(PathBuf::from)
        .or_else(|| home.filter(set).map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("monopod"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_xdg_then_home_and_is_never_guessed() {
        let set = |text: &str| Some(OsString::from(text));
        assert_eq!(cache(set("/x"), set("/h")), Some(PathBuf::from("/x/monopod")));
        assert_eq!(cache(set(""), set("/h")), Some(PathBuf::from("/h/.cache/monopod")));
        assert_eq!(cache(None, set("/h")), Some(PathBuf::from("/h/.cache/monopod")));
        assert_eq!(cache(None, None), None);
    }

    #[test]
    fn the_checkout_is_found_from_any_folder_inside_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = checkout(&here.join("src")).expect("this test runs in a checkout");
        assert_eq!(root, here.join("../..").canonicalize().expect("the folder exists"));
        assert_eq!(checkout(Path::new("/")), None);
    }
}
