//! Figures, as `make bench` prints them: each measured on this machine, now, and where it makes
//! sense next to a peer that is started in the same run.
//!
//! `bench [NAME…]` measures; without names everything. Each figure is one line of JSON on
//! standard output, appended to `target/bench.jsonl` too; the table comes last. A missed goal is
//! a line that says so and no failure. `bench readme` writes the README's table from what was
//! measured before; `bench peer …` and
//! `bench native` are peers that it starts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot be measured ends the program with the reason"
)]

mod book;
mod engine;
mod figure;
mod graphql;
mod load;
mod machine;
mod native;
mod peer;
mod pod;
mod readme;
mod spine;
mod state;
mod wrk;

use std::process::ExitCode;

use book::Book;

// The peer is this program too, and has what the host has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can be measured.
const NAMES: [&str; 5] = ["spine", "engine", "state", "graphql", "pod"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Some(("peer", [folder])) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        runtime.block_on(peer::serve(folder.as_ref()));
        return ExitCode::SUCCESS;
    }
    if arguments == [native::ARGUMENT] {
        runtime.block_on(native::serve());
        return ExitCode::SUCCESS;
    }
    if arguments == [state::WAITING] {
        runtime.block_on(state::wait());
        return ExitCode::SUCCESS;
    }
    if runtime.block_on(graphql::peer(&arguments)) {
        return ExitCode::SUCCESS;
    }
    if arguments == ["readme"] {
        readme::write(monopod_tests::checkout());
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = arguments.iter().find(|name| !NAMES.contains(&name.as_str())) {
        eprintln!("error: there are no figures `{unknown}`. There are: {}", NAMES.join(" "));
        return ExitCode::FAILURE;
    }
    let mut book = Book::open();
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|wanted| wanted == name);
    if wanted("spine") {
        runtime.block_on(spine::measure(&mut book));
    }
    if wanted("engine") {
        runtime.block_on(engine::measure(&mut book));
    }
    if wanted("state") {
        runtime.block_on(state::measure(&mut book));
    }
    if wanted("graphql") {
        runtime.block_on(graphql::measure(&mut book));
    }
    if wanted("pod") {
        pod::measure(&runtime, &mut book);
    }
    book.table();
    ExitCode::SUCCESS
}
