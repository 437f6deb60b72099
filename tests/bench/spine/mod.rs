//! `spine`: one photo's way from start to end, and the smallest request there is. Start, memory,
//! latency alone and all at once, requests per second, and how long people wait for `make run`.

mod flow;
mod idle;
mod photo;
mod ping;
mod run;

use monopod_tests::client::Client;
use monopod_tests::host::{self, Setup};
use monopod_tests::random::Random;

use crate::book::Book;

/// The name of these figures.
const NAME: &str = "spine";
/// What every figure here leaves out.
const LOCAL: &str = "client on the same machine, loopback";

/// Measures all of it. The order is from quiet to loud, so that nothing warms up what comes after.
pub async fn measure(book: &mut Book) {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::trackunit(folder.path());
    setup.listen = host::quiet_port(&mut Random::from_environment().0);

    // Compiles what is not in the cache yet; all later starts are warm.
    book.say("first start, with a cold cache");
    let first = setup.start().await;
    let client = Client::new(first.url(), &setup.ca());
    first.stop().await;

    idle::measure(book, &setup, &client).await;
    let host = setup.start().await;
    flow::measure(book, &host, &client).await;
    ping::measure(book, &host, &client).await;
    host.stop().await;
    run::measure(book).await;
}
