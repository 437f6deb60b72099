//! How long people wait for `make run` when everything is built: the second time and later.

use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use super::NAME;
use crate::book::Book;
use crate::figure::{Better, Figure, Goal};

/// Runs that are timed, after one that builds what is missing.
const RUNS: usize = 5;

/// Measures, if the main job can run here: it takes the port of its platform file.
pub async fn measure(book: &mut Book) {
    book.say(&format!("make run ONCE=1, once and then {RUNS} times"));
    let mut times = Vec::new();
    for number in 0..=RUNS {
        let began = Instant::now();
        let mut command = Command::new("make");
        command.args(["--no-print-directory", "run", "ONCE=1"]).current_dir(monopod_tests::checkout());
        // Not what the outer make was asked for.
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env_remove("MFLAGS");
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last: Vec<_> = said.lines().rev().take(5).collect();
            return book.say(&format!("make run is not measured, it failed: {}", last.join(" / ")));
        }
        if number > 0 {
            times.push(began.elapsed().as_secs_f64());
        }
    }
    book.add(
        NAME,
        Figure {
            metric: "make run ONCE=1, the second time",
            values: times,
            unit: "s",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(5.0),
            about: "nothing to build; checks that, starts, sends a photo, prints the machine, stops"
                .to_owned(),
        },
    );
}
