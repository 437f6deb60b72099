//! `engine`: what a component costs, from outside against `wasmtime serve` and a native server, and
//! from inside; how many there can be, and what a hostile one does to another.
//!
//! `ROUNDS=1` is for trying things out; `PART="inside door"` measures only these.

mod bare;
mod concurrent;
mod door;
mod inside;
mod many;
mod neighbour;
mod serve;
mod stream;

use std::fmt::Write as _;
use std::path::Path;

use monopod_tests::host::{Host, Setup};

use crate::book::Book;

/// The name of these figures.
const NAME: &str = "engine";
/// Rounds of each, and of its peers in between.
const ROUNDS: usize = 5;
/// What can be measured alone.
const PARTS: [&str; 6] = ["inside", "stream", "door", "concurrent", "neighbour", "many"];

/// Rounds of each: fewer on request.
fn rounds() -> usize {
    match std::env::var("ROUNDS") {
        Ok(text) => text.parse().ok().filter(|rounds| *rounds > 0).expect("ROUNDS is a number from 1"),
        Err(_) => ROUNDS,
    }
}

/// Measures all of it, or the parts that are named.
pub async fn measure(book: &mut Book) {
    let parts = std::env::var("PART").unwrap_or_default();
    let parts: Vec<&str> = parts.split_whitespace().collect();
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        panic!("there is no part `{unknown}`. There are: {}", PARTS.join(" "));
    }
    for part in PARTS.into_iter().filter(|part| parts.is_empty() || parts.contains(part)) {
        match part {
            "inside" => inside::measure(book),
            "stream" => stream::measure(book),
            "door" => door::measure(book).await,
            "concurrent" => concurrent::measure(book).await,
            "neighbour" => neighbour::measure(book).await,
            _ => many::measure(book).await,
        }
    }
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
    let needs = monopod_tests::checkout().join("tests/guests").join(guest).join("component.toml");
    let needs = std::fs::read_to_string(needs).unwrap();
    let needs = needs.split_once("[needs]").map_or("", |(_, needs)| needs);
    pack(folder, name, &code, &format!("[needs]{needs}"));
}

/// Makes the bundle `name` in `folder` of `code`.
fn pack(folder: &Path, name: &str, code: &[u8], needs: &str) {
    let source = tempfile::tempdir().unwrap();
    let wasm = source.path().join("code.wasm");
    std::fs::write(&wasm, code).unwrap();
    let manifest =
        format!("name = \"{name}\"\nversion = \"0.1.0\"\ndescription = \"For figures.\"\n{needs}\n");
    std::fs::write(source.path().join("component.toml"), manifest).unwrap();
    monopod_bundle::build(source.path(), &wasm, &folder.join(name)).unwrap();
}
