//! A large body through a component: how fast, and what it takes in memory while it goes.

use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use monopod_core::component::Component;
use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::invoke::Components;
use monopod_core::size::Size;

use super::inside::{House, component};
use super::{NAME, rounds};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal};
use crate::machine;

/// What streams through.
const LARGE: usize = 10_000_000;
/// What it is compared with in memory.
const SMALL: usize = 1_000_000;
/// The pieces it comes in: what a connection reads at once.
const PIECE: usize = 64 << 10;
/// Bodies one after another in a round.
const BODIES: u32 = 50;

/// Measures both.
pub fn measure(book: &mut Book) {
    let folder = tempfile::tempdir().unwrap();
    let mut pipe: Component = component("probe", "probe");
    pipe.grants.publish = ["probe.out".parse().unwrap()].into();
    pipe.grants.timers = true;
    pipe.limits.body = Size::mebibytes(16);
    let house = House::load(folder.path(), [pipe]);
    let (mut rate, mut more) = (Vec::new(), Vec::new());
    let rounds = rounds();
    for round in 1..=rounds {
        book.say(&format!("10 MB streamed through a component, round {round} of {rounds}"));
        let (_, small) = through(&house, SMALL);
        let (speed, large) = through(&house, LARGE);
        rate.push(speed);
        more.push(large - small);
    }
    let about = format!(
        "POST in process, without a socket; a component that writes what it reads, in pieces of {} KiB at most; a \
         fresh instance for each of {BODIES} bodies, one thread",
        PIECE >> 10
    );
    book.add(
        NAME,
        Figure {
            metric: "10 MB streamed through a component",
            values: rate,
            unit: "GB/s",
            better: Better::Higher,
            peer: None,
            goal: Goal::AtLeast(1.5),
            about: about.clone(),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "memory for 10 MB that stream, over 1 MB (peak RSS)",
            values: more,
            unit: "MB",
            better: Better::Lower,
            peer: None,
            // A tenth of what goes through: if it were held, it would be nine.
            goal: Goal::AtMost(0.9),
            about,
        },
    );
}

/// GB per second, and the most memory of the process meanwhile, in MB.
fn through(house: &House, size: usize) -> (f64, f64) {
    machine::forget_peak();
    let rate = std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(rate(house, size))
        };
        scope.spawn(run).join().unwrap()
    });
    (rate, machine::peak(std::process::id()))
}

async fn rate(house: &House, size: usize) -> f64 {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let began = Instant::now();
    for _ in 0..BODIES {
        let pieces = (0..size).step_by(PIECE).map(|at| piece.slice(..PIECE.min(size - at)));
        let pieces =
            futures_util::stream::iter(pieces.collect::<Vec<_>>().into_iter().map(Frame::data).map(Ok));
        let request =
            http::Request::post("/streams/pipe").body(StreamBody::new(pieces).boxed_unsync()).unwrap();
        let context = Context::new(Principal::Anonymous, std::time::Duration::from_secs(60));
        let name = "probe".parse().unwrap();
        let response = house.engine.http(&name, request, &context).await.unwrap();
        let (mut body, mut came) = (pin!(response.into_body()), 0);
        while let Some(frame) = body.frame().await {
            came += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        assert_eq!(came, size);
    }
    let bytes = f64::from(BODIES) * size as f64;
    bytes / began.elapsed().as_secs_f64() / 1e9
}
