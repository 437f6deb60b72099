//! What goes over a limit: one path for each, under `/greedy`.

use monopod_sdk::Host;
use monopod_sdk::bindings::imports::wasi::clocks::monotonic_clock;
use monopod_sdk::bindings::imports::wasi::http::types::Fields;
use monopod_sdk::bindings::imports::wasi::random::random::get_random_bytes;
use monopod_sdk::http::{Problem, Response};
use monopod_sdk::ports::Buckets;

/// Recurses without touching memory: what runs out is the engine's stack, not the one that
/// compiled code keeps in its memory.
#[inline(never)]
fn deep(left: u64, seed: u64) -> u64 {
    if left == 0 { seed } else { (deep(left - 1, seed.rotate_left(3)) ^ left).rotate_left(7) }
}

/// Does what the path says, `n` times or of size `n`.
pub fn run(what: &str, n: usize) -> Result<Response, Problem> {
    let said = |result: Result<String, monopod_sdk::ports::Error>| {
        Ok(Response::text(result.unwrap_or_else(|error| error.to_string())))
    };
    match what {
        // Asks the host for nothing while it computes.
        "compute" => {
            let mut sum = 0_u64;
            for i in 0..n {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i as u64));
            }
            said(Ok(sum.to_string()))
        }
        "stack" => said(Ok(deep(n as u64, 1).to_string())),
        "host-calls" => {
            for _ in 0..n {
                std::hint::black_box(monotonic_clock::now());
            }
            said(Ok("called".into()))
        }
        // Handles of the host's, never closed.
        "handles" => {
            for _ in 0..n {
                std::mem::forget(Fields::new());
            }
            said(Ok("open".into()))
        }
        "random" => said(Ok(get_random_bytes(n as u64).len().to_string())),
        "headers" => {
            let mut response = Response::text("many");
            response.headers.extend((0..n).map(|i| (format!("x-{i}").into(), "y".into())));
            Ok(response)
        }
        "header-size" => {
            let mut response = Response::text("large");
            response.headers.push(("x-large".into(), "y".repeat(n).into()));
            Ok(response)
        }
        "log" => {
            for line in 0..n {
                eprintln!("line {line:06} of very many");
            }
            said(Ok("logged".into()))
        }
        "value" => said(Host.set("counters", "large", &vec![b'x'; n]).map(|()| "set".into())),
        "changes" => said(
            (0..n)
                .try_fold(0, |done, i| Host.set("counters", &format!("c{i}"), b"x").map(|()| done + 1))
                .map(|done| done.to_string()),
        ),
        // In pieces of 1 KiB.
        "unit" => said(
            (0..n)
                .try_fold(0, |done, i| {
                    Host.set("counters", &format!("u{i}"), &[b'x'; 1_024]).map(|()| done + 1)
                })
                .map(|done| done.to_string()),
        ),
        "reads" => said(
            (0..n)
                .try_fold(0, |done, i| Host.get("counters", &format!("r{i}")).map(|_| done + 1))
                .map(|done| done.to_string()),
        ),
        _ => Ok(Response::text("nothing of that name")),
    }
}
