//! `graphql`: what the front end costs on top of what answers a field, against native servers and
//! against other GraphQL servers over the same upstream.

mod greet;
mod hostile;
mod large;
mod peers;
mod planning;
mod posts;
mod subscribers;
mod swap;
mod upstream;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use monopod_tests::client::Client;
use monopod_tests::host::{Host, Setup};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::book::Book;

/// The name of these figures.
const NAME: &str = "graphql";
/// Rounds of each, and of its peers in between.
const ROUNDS: usize = 5;
/// The arguments that make this program the static upstream, and servers to compare with.
pub const UPSTREAM: &str = "upstream";
/// A native handler that answers `{greet}`.
pub const GREETER: &str = "greeter";
/// The environment variable with async-graphql's server; the task program builds it.
const RIVAL: &str = "RIVAL";

/// Measures all of it.
pub async fn measure(book: &mut Book) {
    planning::measure(book);
    if let Err(why) = crate::wrk::is_here().await {
        book.say(&format!("requests per second are not measured: {why}"));
    } else {
        greet::measure(book).await;
        posts::measure(book).await;
    }
    large::measure(book).await;
    hostile::measure(book).await;
    swap::measure(book).await;
    subscribers::measure(book).await;
}

/// Serves as one of the peers until it is killed, if the arguments say so.
pub async fn peer(arguments: &[String]) -> bool {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [UPSTREAM] => upstream::serve().await,
        [GREETER] => peers::greeter().await,
        _ => return false,
    }
    true
}

/// Starts this program as a peer; its process and its address.
async fn start_peer(argument: &str) -> (Child, String) {
    start(&std::env::current_exe().unwrap(), argument).await
}

/// Starts a program that prints its port.
async fn start(program: &Path, argument: &str) -> (Child, String) {
    let mut child =
        Command::new(program).arg(argument).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let port = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (child, format!("http://127.0.0.1:{port}"))
}

/// Starts a host with the guest `herald`.
async fn herald(folder: &Path, more: &str) -> Host {
    let section = "bundle = \"herald\"\n[components.herald.grants]\npublish = [\"announcements\"]\n";
    setup(folder, &monopod_tests::bundles(), more, &[("herald", section)]).start().await
}

/// How to start a host with these components, by name and the rest of their section.
fn setup(folder: &Path, bundles: &Path, more: &str, components: &[(&str, &str)]) -> Setup {
    let mut platform = format!(
        "[platform]\nname = \"bench\"\n[edge]\nplain = \"127.0.0.1:0\"\n{more}\n[identity]\ndevelopment = true\n\
         [topics.announcements]\n"
    );
    for (name, section) in components {
        writeln!(platform, "[components.{name}]\n{section}").unwrap();
    }
    let file = folder.join("platform.toml");
    std::fs::write(&file, platform).unwrap();
    Setup { platform: file, bundles: bundles.to_owned(), ..Setup::trackunit(folder) }
}

/// Makes a bundle `name` in `folder` that adds nothing but `schema`: what answers is outside.
fn bundle(folder: &Path, name: &str, schema: &str) {
    let source = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(source.path().join(file), text).unwrap();
    write(
        "component.toml",
        &format!("name = \"{name}\"\nversion = \"0.1.0\"\ndescription = \"For figures.\"\n[needs]\n"),
    );
    write("schema.graphql", schema);
    let wasm = monopod_tests::bundle("hello").wasm;
    monopod_bundle::build(source.path(), &wasm, &folder.join(name)).unwrap();
}

/// Where the host speaks HTTP without TLS.
fn plain(host: &Host) -> String {
    host.plain().expect("the platform file asks for it").to_owned()
}

/// A client of it over TLS, which has a token of `user`.
async fn client(host: &Host, user: &str) -> Client {
    Client::new(host.url(), &host.setup().ca()).login(user).await
}
