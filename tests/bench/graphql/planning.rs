//! In process: what a known operation costs to find, and what a new one costs to parse, validate
//! and plan.

use std::hint::black_box;
use std::time::Instant;

use monopod_core::component;
use monopod_graph::{Contribution, Schema, Settings, compose};

use super::{NAME, ROUNDS};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal};
use crate::machine;

/// Looks for a known plan in a round.
const HITS: usize = 100_000;
/// New operations in a round.
const NEW: usize = 1_000;
/// How long an operation is, in bytes.
const LENGTH: usize = 2_048;

/// Measures both, in processor time of this thread.
pub fn measure(book: &mut Book) {
    let schema = schema();
    let known = operation(0);
    let (mut hits, mut plans) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("plans found and made, round {round} of {ROUNDS}"));
        schema.accepts(&known, None).unwrap();
        hits.push(each(HITS, |_| schema.accepts(black_box(&known), None).unwrap()));
        let new: Vec<_> = (0..NEW).map(|at| operation(1 + round * NEW + at)).collect();
        plans.push(each(NEW, |at| schema.accepts(&new[at], None).unwrap()));
    }
    let about = format!("an operation of {} bytes, in process, processor time of one thread", known.len());
    let figure = |metric, values, most| Figure {
        metric,
        values,
        unit: "us",
        better: Better::Lower,
        peer: None,
        goal: Goal::AtMost(most),
        about: about.clone(),
    };
    book.add(NAME, figure("plan of a known operation", hits, 2.0));
    book.add(NAME, figure("parse, validate and plan of 2 KB", plans, 200.0));
}

/// Microseconds for each.
fn each(count: usize, mut work: impl FnMut(usize)) -> f64 {
    let (began, used) = (Instant::now(), machine::thread());
    for at in 0..count {
        work(at);
    }
    let processor = (machine::thread() - used) * 1e6 / count as f64;
    // A clock that stood still would flatter.
    assert!(processor <= began.elapsed().as_secs_f64() * 1e6, "the clocks disagree");
    processor
}

fn schema() -> Schema {
    let base = "https://blog.example";
    let contribution = Contribution {
        component: "blog".parse().unwrap(),
        schema: component::Schema { file: "blog/schema.graphql".into(), text: super::posts::schema(base) },
        may_call: Default::default(),
        may_watch: Default::default(),
        may_send: [format!("{base}/").parse().unwrap()].into(),
        limits: component::Limits::default(),
    };
    // Seven lists of a hundred posts with two users each.
    compose(&[contribution], &Settings { max_cost: 10_000, ..Settings::default() }).unwrap()
}

/// As clients write them: views that share fragments. Each with another name.
fn operation(number: usize) -> String {
    let mut text = String::from(
        "fragment Person on User {\n  id\n  name\n  email\n  phone\n}\n\
         fragment Short on Post {\n  id\n  title\n  user {\n    ...Person\n  }\n}\n",
    );
    text.push_str(&format!("query View{number}($full: Boolean = true) {{\n"));
    let mut view = 0;
    let more = |view: usize| {
        format!(
            "  view{view}: posts {{\n    ...Short\n    userId\n    body @include(if: $full)\n    author: user {{\n      \
             ...Person\n      __typename\n    }}\n  }}\n"
        )
    };
    while text.len() + more(view).len() + 2 <= LENGTH {
        text.push_str(&more(view));
        view += 1;
    }
    text.push_str("}\n");
    text
}
