//! A host with its folder, and the one that most journeys share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use monopod_tests::client::Client;
use monopod_tests::host::{Host, Setup};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};

use super::{Phone, Platform, until};

/// What is logged: what is wrong, and each call of a component.
const LOG: &str = "warn,monopod_engine::calls=debug";

/// A host that serves, and everything it has. Dropping it kills the host.
#[derive(Debug)]
pub struct House {
    pub host: Host,
    pub folder: TempDir,
}

impl House {
    /// A host of this platform with empty state.
    pub async fn of(platform: &Platform) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut setup = setup(folder.path(), platform);
        setup.arguments = ["--log-filter", LOG].map(str::to_owned).into();
        std::fs::create_dir(&setup.state).unwrap();
        std::os::unix::fs::symlink(compiled().await, setup.state.join("cache")).unwrap();
        Self { host: setup.start().await, folder }
    }

    /// Another platform over the same state, at the same address: people are known by their
    /// issuer, whose name has the address in it.
    pub async fn again(self, platform: &Platform) -> Self {
        let Self { host, folder } = self;
        let setup =
            Setup { listen: listens(&host), platform: platform.write(folder.path()), ..host.setup().clone() };
        host.stop().await;
        Self { host: setup.start().await, folder }
    }

    /// The same once more, after it has ended.
    pub async fn revived(self) -> Self {
        let Self { mut host, folder } = self;
        assert!(host.ended().is_some());
        let setup = Setup { listen: listens(&host), ..host.setup().clone() };
        Self { host: setup.start().await, folder }
    }

    /// Ends it in order, and gives the folder with its state.
    pub async fn stopped(self) -> (TempDir, PathBuf) {
        let state = self.host.setup().state.clone();
        self.host.stop().await;
        (self.folder, state)
    }

    /// Its address, `https://host:port`.
    pub fn url(&self) -> &str {
        self.host.url()
    }

    /// The address of one of its paths.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        listens(&self.host)
    }

    /// The certificate that clients trust.
    pub fn ca(&self) -> PathBuf {
        self.host.setup().ca()
    }

    /// Somebody without a token.
    pub fn anybody(&self) -> Client {
        Client::new(self.url(), &self.ca())
    }

    /// Somebody with a phone and a token for uploads.
    pub async fn phone(&self, user: &str) -> Phone {
        Phone { client: self.anybody().login(user).await }
    }

    /// Waits until the log has such lines, and returns them: as soon as there are any.
    pub async fn logged(&self, what: &str, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        let log = self.host.setup().log.clone();
        until(what, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            // The last line may be half written.
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let lines: Vec<Value> = lines.filter(|line| is(line)).collect();
            (!lines.is_empty()).then_some(lines)
        })
        .await
    }
}

fn listens(host: &Host) -> SocketAddr {
    let (_, port) = host.url().rsplit_once(':').unwrap();
    SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
}

fn setup(folder: &Path, platform: &Platform) -> Setup {
    Setup { platform: platform.write(folder), ..Setup::trackunit(folder) }
}

/// The folder of compiled code that all hosts of the suite share: the first start fills it, and
/// it stays for the next run.
pub async fn compiled() -> PathBuf {
    static COMPILED: OnceCell<PathBuf> = OnceCell::const_new();
    let made = COMPILED.get_or_init(|| async {
        let shared = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        std::fs::create_dir_all(&shared).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let setup = setup(folder.path(), &Platform::trackunit());
        std::fs::create_dir(&setup.state).unwrap();
        std::os::unix::fs::symlink(&shared, setup.state.join("cache")).unwrap();
        setup.start().await.stop().await;
        shared
    });
    made.await.clone()
}

/// The host that journeys share: Trackunit as the repository has it. It lives as long as anybody
/// uses it.
pub async fn trackunit() -> Arc<House> {
    static SHARED: Mutex<Weak<House>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(house) = shared.upgrade() {
        return house;
    }
    let house = Arc::new(House::of(&Platform::trackunit()).await);
    *shared = Arc::downgrade(&house);
    house
}
