//! Components made by other people's tools, and run as they came out: each alone in a real host,
//! packed and started as the README says, asked over TLS. Their sources are in `tests/foreign`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use monopod_tests::client::Client;
use monopod_tests::host::{Host, Setup};
use tempfile::TempDir;
use tokio::process::Command;

/// A body of several writes in every language: some have at most 4 KB in one.
const LARGE: usize = 300_000;

struct House {
    host: Host,
    client: Client,
    _folder: TempDir,
}

impl House {
    /// A platform of this one component.
    async fn of(name: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = monopod_tests::from_environment("MONOPOD_FOREIGN");
        let platform = folder.path().join("platform.toml");
        std::fs::write(&platform, file(name, settings)).unwrap();
        let bundles = folder.path().join("bundles");
        pack(name, settings, &made.join(name).with_extension("wasm"), folder.path(), &bundles).await;
        let state = folder.path().join("state");
        keep_compiled(&made, &state);
        let setup = Setup { platform, bundles, state, ..Setup::trackunit(folder.path()) };
        let host = setup.start().await;
        let client = Client::new(host.url(), &setup.ca());
        Self { host, client, _folder: folder }
    }

    async fn get(&self) -> String {
        let request = Request::get(self.host.url()).body(Full::default()).unwrap();
        self.answer(request).await
    }

    async fn echo(&self, body: &[u8]) -> String {
        let body = Full::from(Bytes::copy_from_slice(body));
        self.answer(Request::post(format!("{}/echo?much=1", self.host.url())).body(body).unwrap()).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> String {
        let answer = self.client.send(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{:?}\n{}", answer.body(), self.host.setup().last_log());
        String::from_utf8(answer.body().to_vec()).unwrap()
    }

    /// It greets, again and again, and gives a large body back.
    async fn serves(self, greeting: &str) {
        for _ in 0..3 {
            assert_eq!(self.get().await, greeting);
        }
        let large: Vec<u8> = (b'a'..=b'z').cycle().take(LARGE).collect();
        let back = self.echo(&large).await;
        assert!(back.as_bytes() == large, "{} bytes came back of {LARGE}", back.len());
        assert_eq!(self.get().await, greeting);
        self.host.stop().await;
    }
}

fn file(name: &str, settings: &str) -> String {
    let settings = if settings.is_empty() { "" } else { "settings = { greeted = \"world\" }\n" };
    format!(
        "[platform]\nname = \"foreign\"\n\n[identity]\ndevelopment = true\n\n\
         [components.{name}]\nbundle = \"{name}\"\nexpose = \"/\"\n{settings}"
    )
}

/// What a user does: a manifest, and `monopod bundle`.
async fn pack(name: &str, settings: &str, wasm: &Path, folder: &Path, bundles: &Path) {
    let source = folder.join(name);
    std::fs::create_dir(&source).unwrap();
    let manifest = format!("name = \"{name}\"\nversion = \"0.1.0\"\n{settings}");
    std::fs::write(source.join("component.toml"), manifest).unwrap();
    let packed = Command::new(monopod_tests::from_environment("MONOPOD_BIN"))
        .arg("bundle")
        .arg(&source)
        .arg("--wasm")
        .arg(wasm)
        .arg("--out")
        .arg(bundles.join(name))
        .output()
        .await
        .unwrap();
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
}

/// Compiled code is kept beside the components: compiling an interpreter takes minutes.
fn keep_compiled(made: &Path, state: &Path) {
    let kept: PathBuf = made.join("compiled");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::create_dir(state).unwrap();
    std::os::unix::fs::symlink(kept, state.join("cache")).unwrap();
}

const GREETED: &str = "[settings.greeted]\n";

#[tokio::test]
async fn a_rust_component_of_wasi_http_0_2_is_served_as_it_came_out() {
    House::of("rust-p2", GREETED).await.serves("hello from rust 0.2, world").await;
}

#[tokio::test]
async fn a_rust_component_of_wasi_http_0_3_is_served_as_it_came_out() {
    House::of("rust-p3", GREETED).await.serves("hello from rust 0.3, world").await;
}

#[tokio::test]
async fn a_python_component_is_served_as_it_came_out() {
    House::of("python", GREETED).await.serves("hello from python, world").await;
}

#[tokio::test]
async fn a_javascript_component_is_served_as_it_came_out() {
    House::of("javascript", "").await.serves("hello from javascript").await;
}

#[tokio::test]
async fn a_c_component_is_served_as_it_came_out() {
    House::of("c", "").await.serves("hello from c").await;
}
