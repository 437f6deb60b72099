//! Lays a grid through three eyes, samples it and has it read.

use rqrr::{Grid, SimpleGrid};

use super::bits::Bits;
use super::finder::Triple;

/// The smallest and the largest code, in modules a side: versions 1 and 20. The longest fleet
/// tag fits version 14.
const SIDES: std::ops::RangeInclusive<i32> = 21..=97;

/// How far around its expected place the small fourth eye is looked for, in modules.
const SEARCH: f32 = 5.0;

/// Of its 25 modules, how many have to fit.
const FITTING: u32 = 21;

/// Reads the code in the corners of a triple, if there is one.
pub fn read(bits: &Bits, triple: &Triple) -> Option<String> {
    // Sides are 17 modules and 4 for each version. The estimate may be one version off.
    let version = ((triple.modules - 17.0) / 4.0).round() as i32;
    [0, 1, -1].into_iter().map(|off| 17 + 4 * (version + off)).filter(|side| SIDES.contains(side)).find_map(
        |side| {
            let with_eye = (side > 21).then(|| fourth_eye(bits, triple, side)).flatten();
            // Without the fourth eye the code is taken for a parallelogram.
            with_eye
                .and_then(|eye| sample(bits, triple, side, Some(eye)))
                .or_else(|| sample(bits, triple, side, None))
        },
    )
}

type Point = (f32, f32);

/// Where a point of the code (in modules) lies if the code is a parallelogram.
fn flat(triple: &Triple, side: i32, u: f32, v: f32) -> Point {
    let [corner, right, down] = triple.eyes;
    let span = side as f32 - 7.0;
    let (u, v) = ((u - 3.5) / span, (v - 3.5) / span);
    (
        corner.x + u * (right.x - corner.x) + v * (down.x - corner.x),
        corner.y + u * (right.y - corner.y) + v * (down.y - corner.y),
    )
}

/// The small eye near the fourth corner: the place around its expected one that fits best.
fn fourth_eye(bits: &Bits, triple: &Triple, side: i32) -> Option<Point> {
    let place = side as f32 - 6.5;
    let fit = |u: f32, v: f32| {
        let mut fitting = 0;
        for down in -2_i32..=2 {
            for right in -2_i32..=2 {
                let (x, y) = flat(triple, side, u + right as f32, v + down as f32);
                let black = right.abs().max(down.abs()) != 1;
                fitting += u32::from(bits.black_at(x, y) == black);
            }
        }
        fitting
    };
    // Best fit first, then the shortest way from where it is expected.
    let mut best: Option<(u32, f32, Point)> = None;
    let mut consider = |u: f32, v: f32| {
        let (fitting, way) = (fit(u, v), (u - place).hypot(v - place));
        let better = best.is_none_or(|(most, least, _)| fitting > most || (fitting == most && way < least));
        if fitting >= FITTING && better {
            best = Some((fitting, way, (u, v)));
        }
    };
    let steps = (SEARCH * 2.0) as i32;
    for down in -steps..=steps {
        for right in -steps..=steps {
            consider(place + right as f32 / 2.0, place + down as f32 / 2.0);
        }
    }
    let (.., (u, v)) = best?;
    // A quarter module closer: the middle of those places that fit as well.
    let (mut sum, mut count) = ((0.0, 0.0), 0.0);
    let most = best?.0;
    for down in -3_i32..=3 {
        for right in -3_i32..=3 {
            let (u, v) = (u + right as f32 / 4.0, v + down as f32 / 4.0);
            if fit(u, v) >= most {
                sum = (sum.0 + u, sum.1 + v);
                count += 1.0;
            }
        }
    }
    if count == 0.0 {
        Some(flat(triple, side, u, v))
    } else {
        Some(flat(triple, side, sum.0 / count, sum.1 / count))
    }
}

fn sample(bits: &Bits, triple: &Triple, side: i32, fourth: Option<Point>) -> Option<String> {
    let [corner, right, down] = triple.eyes.map(|eye| (eye.x, eye.y));
    let far = side as f32 - 3.5;
    let (place, point) = match fourth {
        Some(point) => (side as f32 - 6.5, point),
        None => (far, flat(triple, side, far, far)),
    };
    let from = [(3.5, 3.5), (far, 3.5), (place, place), (3.5, far)];
    let map = Projection::square_to(&[corner, right, point, down])?
        .after(&Projection::square_to(&from)?.adjugate());
    let size = side as usize;
    let grid = SimpleGrid::from_func(size, |x, y| {
        // Five points of the module's inner part, by majority: one may lie on a speck.
        let black = [(0.5, 0.5), (0.3, 0.5), (0.7, 0.5), (0.5, 0.3), (0.5, 0.7)].iter().filter(|(u, v)| {
            let (x, y) = map.apply(x as f32 + u, y as f32 + v);
            bits.black_at(x, y)
        });
        black.count() >= 3
    });
    let (_, text) = Grid::new(grid).decode().ok()?;
    Some(text)
}

/// A projection of the plane (homogeneous, by rows).
#[derive(Debug, Clone, Copy)]
struct Projection([[f32; 3]; 3]);

impl Projection {
    /// The projection that takes the unit square's corners, clockwise from (0, 0), to these.
    fn square_to(&[p0, p1, p2, p3]: &[Point; 4]) -> Option<Self> {
        let (sx, sy) = (p0.0 - p1.0 + p2.0 - p3.0, p0.1 - p1.1 + p2.1 - p3.1);
        let (dx1, dx2) = (p1.0 - p2.0, p3.0 - p2.0);
        let (dy1, dy2) = (p1.1 - p2.1, p3.1 - p2.1);
        let det = dx1 * dy2 - dx2 * dy1;
        if det.abs() < f32::EPSILON {
            return None;
        }
        let g = (sx * dy2 - dx2 * sy) / det;
        let h = (dx1 * sy - sx * dy1) / det;
        Some(Self([
            [p1.0 - p0.0 + g * p1.0, p3.0 - p0.0 + h * p3.0, p0.0],
            [p1.1 - p0.1 + g * p1.1, p3.1 - p0.1 + h * p3.1, p0.1],
            [g, h, 1.0],
        ]))
    }

    /// The inverse, up to a factor, which a projection does not notice.
    fn adjugate(&self) -> Self {
        let Self([[a, b, c], [d, e, f], [g, h, i]]) = *self;
        Self([
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ])
    }

    /// First `other`, then this.
    fn after(&self, other: &Self) -> Self {
        let [c0, c1, c2] =
            [0, 1, 2].map(|column: usize| other.0.map(|row| row.get(column).copied().unwrap_or(0.0)));
        let dot = |row: [f32; 3], column: [f32; 3]| row.iter().zip(column).map(|(a, b)| a * b).sum();
        Self(self.0.map(|row| [dot(row, c0), dot(row, c1), dot(row, c2)]))
    }

    fn apply(&self, u: f32, v: f32) -> Point {
        let Self([x, y, w]) = *self;
        let at = |[a, b, c]: [f32; 3]| a * u + b * v + c;
        let w = at(w);
        (at(x) / w, at(y) / w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_takes_corners_to_corners() {
        let from = [(3.5, 3.5), (21.5, 3.5), (18.5, 18.5), (3.5, 21.5)];
        let to = [(10.0, 12.0), (90.0, 20.0), (80.0, 85.0), (5.0, 95.0)];
        let map =
            Projection::square_to(&to).unwrap().after(&Projection::square_to(&from).unwrap().adjugate());
        for (from, to) in from.iter().zip(to) {
            let (x, y) = map.apply(from.0, from.1);
            assert!((x - to.0).hypot(y - to.1) < 0.05, "{from:?} -> {x}, {y}, not {to:?}");
        }
    }

    #[test]
    fn corners_on_one_line_have_no_projection() {
        assert!(Projection::square_to(&[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0)]).is_none());
    }
}
