//! Finder patterns, the three eyes of a QR code: black, white, black, white, black in lengths of
//! 1:1:3:1:1 in every direction. And triples of them that can be the corners of one code.

use super::bits::Bits;

/// Every which row is searched. The smallest code that can be read has modules of 2 pixels, so
/// its eye's middle is 6 rows high.
const ROW_STEP: usize = 2;

/// The most eyes that are kept while searching.
const MAX_EYES: usize = 256;

/// The most eyes that triples are made of: those that were seen in most rows. 40 make 9,880
/// triples.
const MAX_CORNERS: usize = 40;

/// An eye.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eye {
    /// Its middle.
    pub x: f32,
    /// Its middle.
    pub y: f32,
    /// The width of a module, about.
    pub module: f32,
    /// In how many rows it was seen.
    seen: u32,
}

/// Three eyes that may be a code.
#[derive(Debug, Clone)]
pub struct Triple {
    /// Top left, top right and bottom left, as seen by the code (mirrored codes: swapped).
    pub eyes: [Eye; 3],
    /// Their places in the list of eyes.
    pub corners: [usize; 3],
    /// The width of a module.
    pub module: f32,
    /// Modules along a side, estimated.
    pub modules: f32,
    /// How far from a perfect square; lower is better.
    skew: f32,
}

impl Triple {
    /// The length of a side, in pixels.
    pub fn side(&self) -> f32 {
        self.modules * self.module
    }
}

/// The eyes in a picture, those seen most often first.
pub fn centres(bits: &Bits) -> Vec<Eye> {
    let mut eyes: Vec<Eye> = Vec::new();
    for y in (0..bits.height()).step_by(ROW_STEP) {
        // The lengths of the last five runs, the latest last, and the colour of the current one.
        let mut runs = [0_u32; 5];
        let mut black = false;
        for (x, &pixel) in bits.row(y).iter().chain(std::iter::once(&false)).enumerate() {
            let last = x == bits.width();
            if pixel == black && !last {
                if let Some(run) = runs.last_mut() {
                    *run += 1;
                }
                continue;
            }
            // A black run ended: the five may be an eye.
            if black && let Some(module) = eye(runs) {
                look(bits, &mut eyes, x as i32, y as i32, runs, module);
            }
            let [_, a, b, c, d] = runs;
            runs = [a, b, c, d, 1];
            black = pixel;
        }
    }
    eyes.sort_by_key(|eye| std::cmp::Reverse(eye.seen));
    eyes
}

/// The width of a module if runs are those of an eye.
fn eye(runs: [u32; 5]) -> Option<f32> {
    let total: u32 = runs.iter().sum();
    if total < 7 || runs.contains(&0) {
        return None;
    }
    let module = total as f32 / 7.0;
    let fits = |run: u32, modules: f32| (run as f32 - modules * module).abs() < modules * module * 0.55;
    let [a, b, c, d, e] = runs;
    // The middle may be off by less than its three modules' share.
    let middle = (c as f32 - 3.0 * module).abs() < 1.2 * module;
    (fits(a, 1.0) && fits(b, 1.0) && middle && fits(d, 1.0) && fits(e, 1.0)).then_some(module)
}

/// Looks closer at what may be an eye whose runs end before `end` in row `y`.
fn look(bits: &Bits, eyes: &mut Vec<Eye>, end: i32, y: i32, runs: [u32; 5], module: f32) {
    let [_, _, c, d, e] = runs;
    let x = end - e as i32 - d as i32 - (c / 2) as i32 - 1;
    // At most this many pixels each way; a longer run is no part of this eye.
    let reach = (module * 6.0) as i32 + 2;
    let Some((dy, down)) = across(bits, x, y, (0, 1), reach) else { return };
    let y = y as f32 + dy;
    let Some((dx, right)) = across(bits, x, y as i32, (1, 0), reach) else { return };
    let x = x as f32 + dx;
    if across(bits, x as i32, y as i32, (1, 1), reach).is_none() {
        return;
    }
    let module = (down + right) / 2.0;
    // Another row of an eye that was seen already?
    let near = |eye: &Eye| (eye.x - x).abs() <= eye.module * 1.5 && (eye.y - y).abs() <= eye.module * 1.5;
    if let Some(eye) = eyes.iter_mut().find(|eye| near(eye)) {
        let seen = eye.seen as f32;
        let mean = |old: f32, new: f32| (old * seen + new) / (seen + 1.0);
        *eye = Eye {
            x: mean(eye.x, x),
            y: mean(eye.y, y),
            module: mean(eye.module, module),
            seen: eye.seen + 1,
        };
    } else if eyes.len() < MAX_EYES {
        eyes.push(Eye { x, y, module, seen: 1 });
    }
}

/// Walks both ways from the middle of what may be an eye. Answers how far off the true middle
/// the start was, and the width of a module along this direction.
fn across(bits: &Bits, x: i32, y: i32, (dx, dy): (i32, i32), reach: i32) -> Option<(f32, f32)> {
    let back = half(bits, x, y, (-dx, -dy), reach)?;
    let on = half(bits, x, y, (dx, dy), reach)?;
    let [c0, b, a] = back;
    let [c1, d, e] = on;
    // Both halves count the pixel they start from.
    let module = eye([a, b, (c0 + c1).saturating_sub(1), d, e])?;
    Some(((c1 as f32 - c0 as f32) / 2.0, module))
}

/// Three runs (black, white, black) from a point outwards.
fn half(bits: &Bits, mut x: i32, mut y: i32, (dx, dy): (i32, i32), reach: i32) -> Option<[u32; 3]> {
    let mut runs = [0_u32; 3];
    let mut steps = 0;
    for (run, black) in runs.iter_mut().zip([true, false, true]) {
        while bits.holds(x as f32, y as f32) && bits.black(x, y) == black {
            *run += 1;
            steps += 1;
            if steps > reach {
                return None;
            }
            x += dx;
            y += dy;
        }
        if *run == 0 {
            return None;
        }
    }
    Some(runs)
}

/// The triples that can be a code, the most square first.
pub fn triples(bits: &Bits, eyes: &[Eye]) -> Vec<Triple> {
    let eyes = eyes.get(..eyes.len().min(MAX_CORNERS)).unwrap_or_default();
    let mut triples = Vec::new();
    for (i, a) in eyes.iter().enumerate() {
        for (j, b) in eyes.iter().enumerate().skip(i + 1) {
            if !alike(a, b) {
                continue;
            }
            for (k, c) in eyes.iter().enumerate().skip(j + 1) {
                if alike(a, c)
                    && alike(b, c)
                    && let Some(triple) = triple([(i, *a), (j, *b), (k, *c)])
                {
                    triples.push(triple);
                }
            }
        }
    }
    triples.sort_by(|a: &Triple, b| a.skew.total_cmp(&b.skew));
    // The exact width of a module takes a walk, so only the promising ones get one.
    for triple in triples.iter_mut().take(super::MAX_TRIES * 2) {
        measure(bits, triple);
    }
    triples
}

fn alike(a: &Eye, b: &Eye) -> bool {
    let ratio = a.module / b.module;
    (0.5..=2.0).contains(&ratio)
}

fn triple(eyes: [(usize, Eye); 3]) -> Option<Triple> {
    let distance = |a: &Eye, b: &Eye| (a.x - b.x).hypot(a.y - b.y);
    // The corner is opposite to the longest side.
    let [a, b, c] = eyes;
    let (ab, bc, ca) = (distance(&a.1, &b.1), distance(&b.1, &c.1), distance(&c.1, &a.1));
    let (corner, mut right, mut down) = if ab >= bc && ab >= ca {
        (c, a, b)
    } else if bc >= ca {
        (a, b, c)
    } else {
        (b, c, a)
    };
    // In a picture, where y grows downwards, right x down is positive.
    let cross = |right: &Eye, down: &Eye| {
        (right.x - corner.1.x) * (down.y - corner.1.y) - (right.y - corner.1.y) * (down.x - corner.1.x)
    };
    if cross(&right.1, &down.1) < 0.0 {
        std::mem::swap(&mut right, &mut down);
    }
    let (side1, side2) = (distance(&corner.1, &right.1), distance(&corner.1, &down.1));
    let module = (corner.1.module + right.1.module + down.1.module) / 3.0;
    let modules = (side1 + side2) / 2.0 / module + 7.0;
    // 21 to 97, and rotation makes modules look up to 1.4 times as wide along a row.
    if !(16.0..=130.0).contains(&modules) {
        return None;
    }
    let uneven = (side1 / side2).ln().abs();
    let dot = (right.1.x - corner.1.x) * (down.1.x - corner.1.x)
        + (right.1.y - corner.1.y) * (down.1.y - corner.1.y);
    let slant = (dot / (side1 * side2)).abs();
    // Seen at an angle, sides differ by half and corners by 30 degrees.
    if uneven > 0.5 || slant > 0.5 {
        return None;
    }
    let sizes = [corner.1.module, right.1.module, down.1.module];
    let spread = sizes.iter().map(|size| (size / module).ln().abs()).sum::<f32>();
    Some(Triple {
        eyes: [corner.1, right.1, down.1],
        corners: [corner.0, right.0, down.0],
        module,
        modules,
        skew: uneven + slant + spread,
    })
}

/// Measures a module along the sides of a code, which is right at any rotation.
fn measure(bits: &Bits, triple: &mut Triple) {
    let [corner, right, down] = triple.eyes;
    let widths =
        [(corner, right), (right, corner), (corner, down), (down, corner)].map(|(a, b)| width(bits, a, b));
    let known = widths.iter().flatten().count();
    if known == 0 {
        return;
    }
    let module = widths.iter().flatten().sum::<f32>() / known as f32;
    let distance = |a: Eye, b: Eye| (a.x - b.x).hypot(a.y - b.y);
    triple.module = module;
    triple.modules = (distance(corner, right) + distance(corner, down)) / 2.0 / module + 7.0;
}

/// The width of a module along the line from one eye's middle towards another: from the middle
/// to the outer edge of the eye, both ways, is 7 modules.
fn width(bits: &Bits, from: Eye, to: Eye) -> Option<f32> {
    let length = (to.x - from.x).hypot(to.y - from.y);
    let (dx, dy) = ((to.x - from.x) / length, (to.y - from.y) / length);
    let reach = from.module * 7.0 + 4.0;
    let walk = |sign: f32| {
        // Half a pixel a step; black, white, black, and the first white behind.
        let mut changes = 0;
        let mut black = true;
        let mut at = 0.0;
        while at < reach {
            let now = bits.black_at(from.x + dx * at * sign, from.y + dy * at * sign);
            if now != black {
                black = now;
                changes += 1;
                if changes == 3 {
                    return Some(at);
                }
            }
            at += 0.5;
        }
        None
    };
    let module = (walk(1.0)? + walk(-1.0)?) / 7.0;
    (module >= 1.0).then_some(module)
}
