//! `engine`: what a component costs, from outside against `wasmtime serve` and a native server, and
//! from inside; and how many there can be.

mod door;
mod inside;
mod many;
mod serve;

use std::fmt::Write as _;
use std::path::Path;

use monopod_tests::host::{Host, Setup};

use crate::book::Book;

/// The name of these figures.
const NAME: &str = "engine";
/// Rounds of each, and of its peers in between.
const ROUNDS: usize = 5;

/// Measures all of it.
pub async fn measure(book: &mut Book) {
    inside::measure(book).await;
    door::measure(book).await;
    many::measure(book).await;
}

/// How to start a host with these components: name and the rest of the section.
fn setup(folder: &Path, bundles: &Path, components: impl IntoIterator<Item = (String, String)>) -> Setup {
    let mut platform = String::from(
        "[platform]\nname = \"bench\"\n[edge]\nplain = \"127.0.0.1:0\"\n[identity]\ndevelopment = true\n",
    );
    for (name, section) in components {
        writeln!(platform, "[components.{name}]\n{section}").unwrap();
    }
    let file = folder.join("platform.toml");
    std::fs::write(&file, platform).unwrap();
    Setup { platform: file, bundles: bundles.to_owned(), ..Setup::trackunit(folder) }
}

/// Whether the host takes the platform file.
async fn accepted(setup: &Setup) -> bool {
    let mut command = tokio::process::Command::new(&setup.program);
    command.arg("check").arg(&setup.platform).arg("--bundles").arg(&setup.bundles);
    command.output().await.unwrap().status.success()
}

/// Where the host speaks HTTP without TLS.
fn plain(host: &Host) -> String {
    host.plain().expect("the platform file asks for it").to_owned()
}

/// Makes the bundle `name` in `folder` of the code of `guest`; `mark` makes it another version.
fn bundle(folder: &Path, name: &str, guest: &str, mark: &[u8]) {
    let mut code = std::fs::read(monopod_tests::bundle(guest).wasm).unwrap();
    if !mark.is_empty() {
        // A section of its own, which nobody reads.
        let content = [&[4][..], b"mark", mark].concat();
        code.extend([0, u8::try_from(content.len()).unwrap()]);
        code.extend(content);
    }
    let source = tempfile::tempdir().unwrap();
    let wasm = source.path().join("code.wasm");
    std::fs::write(&wasm, code).unwrap();
    let manifest =
        format!("name = \"{name}\"\nversion = \"0.1.0\"\ndescription = \"For figures.\"\n[needs]\n");
    std::fs::write(source.path().join("component.toml"), manifest).unwrap();
    monopod_bundle::build(source.path(), &wasm, &folder.join(name)).unwrap();
}
