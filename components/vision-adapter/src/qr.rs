//! Finds and reads QR codes in a picture.
//!
//! Finding is our own, on the way ZXing goes: a black-and-white picture by local thresholds, finder
//! patterns by the lengths of runs, triples of them that can be a code's corners, a grid laid
//! through them. The finder of the crate that reads the grids (`rqrr`) copies the whole picture for
//! each triple it tries and stops the program at shapes it did not expect; this one has a bound on
//! every loop. Reading a grid (format, error correction, text) is that crate's.

mod bits;
mod finder;
mod grid;

use crate::picture::{Picture, Plane};
use bits::Bits;

/// Where a picture is searched first, in pixels of its longer side: a tag that can be read at
/// all mostly can at this size, and the search costs a few milliseconds.
const FIRST_SIDE: usize = 1_280;

/// The most codes that are read from a picture.
const MAX_CODES: usize = 8;

/// The most triples of finder patterns that are tried as a code, in one pass.
const MAX_TRIES: usize = 64;

/// A code that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Code {
    /// What it says.
    pub text: String,
    /// How long its side is, as a share of the picture's width.
    pub side: f32,
}

/// The codes in a picture, the largest first.
///
/// Passes: at about [`FIRST_SIDE`]; then, only if nothing was found, a large picture at its full
/// size (small codes) and a small one at half its size (soft or noisy codes).
pub fn find(picture: &Picture) -> Vec<Code> {
    let plane = &picture.luma;
    let side = plane.width().max(plane.height());
    let factor = side.div_ceil(FIRST_SIDE).max(1);
    let first = if factor == 1 { pass(plane) } else { pass(&plane.shrink(factor)) };
    if !first.is_empty() {
        return first;
    }
    if factor == 1 { pass(&plane.shrink(2)) } else { pass(plane) }
}

fn pass(plane: &Plane) -> Vec<Code> {
    let bits = Bits::of(plane);
    let centres = finder::centres(&bits);
    let mut codes: Vec<Code> = Vec::new();
    // Centres that belong to a code already read.
    let mut used: Vec<usize> = Vec::new();
    for triple in finder::triples(&bits, &centres).into_iter().take(MAX_TRIES) {
        if codes.len() >= MAX_CODES {
            break;
        }
        if triple.corners.iter().any(|corner| used.contains(corner)) {
            continue;
        }
        if let Some(text) = grid::read(&bits, &triple) {
            used.extend(triple.corners);
            codes.push(Code { text, side: triple.side() / plane.width().max(1) as f32 });
        }
    }
    codes.sort_by(|a, b| b.side.total_cmp(&a.side));
    codes
}

#[cfg(test)]
mod tests;
