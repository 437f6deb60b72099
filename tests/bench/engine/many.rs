//! A thousand versions of a component in one process: what each holds at rest, how long a start
//! takes with their code in the cache, and what a request costs when ten of them are busy.

use std::path::Path;

use super::{NAME, plain, rounds, setup};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::machine;
use crate::wrk::{self, Side};
use monopod_tests::host::Setup;

/// So many versions.
const MANY: usize = 1_000;
/// So many of them are asked.
const BUSY: usize = 10;
/// Seconds of one side in a round.
const SECONDS: u32 = 4;

/// Measures all of it. The first start compiles each, which takes a minute.
pub async fn measure(book: &mut Book) {
    if let Err(why) = wrk::is_here().await {
        return book.say(&format!("many components are not measured: {why}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    for number in 0..MANY {
        super::bundle(&bundles, &format!("v{number}"), "hello", &(number as u32).to_le_bytes());
    }
    let many = start(folder.path(), &bundles, "many", MANY);
    let one = start(folder.path(), &bundles, "one", 1);
    book.say(&format!("a first start with {MANY} components, which compiles each"));
    many.start().await.stop().await;
    one.start().await.stop().await;

    let rounds = rounds();
    let (mut took, mut each) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        book.say(&format!("start with {MANY} components and at rest, round {round} of {rounds}"));
        let few = one.start().await;
        let all = many.start().await;
        took.push(all.began().elapsed().as_secs_f64());
        each.push((machine::memory(all.pid()).0 - machine::memory(few.pid()).0) / (MANY - 1) as f64);
        few.stop().await;
        all.stop().await;
    }
    book.add(
        NAME,
        Figure {
            metric: "start with 1,000 components, their code cached",
            values: took,
            unit: "s",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(2.0),
            about: "from exec to serving: bundles read and verified, code checked, mapped and linked"
                .to_owned(),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "memory of a loaded component at rest (RSS)",
            values: each,
            unit: "MB",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(1.0),
            about: format!("a host with {MANY} versions that were not called yet, less a host with one"),
        },
    );

    let (few, all) = (one.start().await, many.start().await);
    let script = folder.path().join("busy.lua");
    std::fs::write(&script, format!(
        "local at = 0\nrequest = function() at = (at + 1) % {BUSY}; return wrk.format(\"GET\", \"/v\" .. at * {} .. \"/hello\") end\n",
        MANY / BUSY
    ))
    .unwrap();
    let alone = folder.path().join("alone.lua");
    std::fs::write(&alone, "request = function() return wrk.format(\"GET\", \"/v0/hello\") end\n").unwrap();
    let mut busy = Side::new(all.pid(), plain(&all), Some(&script)).await;
    let mut single = Side::new(few.pid(), plain(&few), Some(&alone)).await;
    for round in 1..=rounds {
        book.say(&format!("{BUSY} busy of {MANY}, round {round} of {rounds}"));
        busy.run(SECONDS).await;
        single.run(SECONDS).await;
    }
    let about = format!(
        "of the server's process under wrk, a fresh instance each; {:.0} requests per second against {:.0}",
        median(&busy.rate),
        median(&single.rate)
    );
    book.add(
        NAME,
        Figure {
            metric: "processor time of a request, 10 busy of 1,000",
            values: busy.cost,
            unit: "us",
            better: Better::Lower,
            peer: Some(Peer { name: "with one component".to_owned(), values: single.cost }),
            goal: Goal::Ratio(0.95),
            about,
        },
    );
    few.stop().await;
    all.stop().await;
}

fn start(folder: &Path, bundles: &Path, name: &str, count: usize) -> Setup {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    let section =
        |number: usize| (format!("v{number}"), format!("bundle = \"v{number}\"\nexpose = \"/v{number}\"\n"));
    setup(&folder, bundles, (0..count).map(section))
}
