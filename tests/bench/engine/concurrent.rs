//! WASI 0.3: a component whose instances answer several requests at once, against `wasmtime serve`
//! with the same component.

use super::{NAME, pack, plain, rounds, serve};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::wrk::{self, CONNECTIONS, Side};

/// The figure.
const METRIC: &str = "hello of WASI 0.3, several requests in an instance";
/// The component, as the compiler made it, in the folder of this variable.
const FOLDER: &str = "MONOPOD_FOREIGN";
/// Requests that an instance answers in all, on both sides; the host's own default.
const USES: u32 = 1_000;
/// Seconds of one side in a round.
const SECONDS: u32 = 4;

/// Measures it, or says why it cannot.
pub async fn measure(book: &mut Book) {
    if let Err(why) = wrk::is_here().await {
        return book.missing(METRIC, &why);
    }
    let Some(made) = std::env::var_os(FOLDER) else {
        return book.missing(METRIC, &format!("{FOLDER} names no folder: `make bench` makes it"));
    };
    if !serve::is_here() {
        return book.missing(METRIC, "WASMTIME names no program: `make bench` builds it");
    }
    let component = std::path::Path::new(&made).join("rust-p3.wasm");
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    pack(&bundles, "hello", &std::fs::read(&component).unwrap(), "");
    let section =
        "bundle = \"hello\"\nexpose = \"/\"\n[components.hello.instances]\nreuse = \"concurrent\"\n";
    let setup = super::setup(folder.path(), &bundles, [("hello".to_owned(), section.to_owned())]);
    let mut host = setup.spawn();
    if let Err(why) = host.served().await {
        return book.missing(METRIC, &why);
    }
    // As many at once in one instance as clients have connections: serve's own default is 16.
    let more = ["--max-instance-concurrent-reuse-count", &CONNECTIONS.to_string(), "-S", "p3"];
    let (serving, url) = serve::start(&component, USES, &more).await;

    let mut ours = Side::new(host.pid(), format!("{}/hello", plain(&host)), None).await;
    let mut theirs = Side::new(serving.id().unwrap(), format!("{url}/hello"), None).await;
    let rounds = rounds();
    for round in 1..=rounds {
        book.say(&format!("{METRIC}, round {round} of {rounds}"));
        ours.run(SECONDS).await;
        theirs.run(SECONDS).await;
    }
    let about = format!(
        "wrk -t1 -c{CONNECTIONS} -d{SECONDS}s, plain HTTP/1.1; a component on the crate wasip3; {:.1} us of processor \
         for each request, the peer's {:.1}",
        median(&ours.cost),
        median(&theirs.cost)
    );
    let peer = Peer { name: format!("{}, 0.3, reuse {USES}", serve::NAME), values: theirs.rate };
    book.add(
        NAME,
        Figure {
            metric: METRIC,
            values: ours.rate,
            unit: "1/s",
            better: Better::Higher,
            peer: Some(peer),
            goal: Goal::Ratio(1.5),
            about,
        },
    );
    host.stop().await;
}
