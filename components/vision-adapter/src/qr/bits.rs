//! Black and white: a threshold of its own for each block of 8 x 8 pixels, smoothed over 5 x 5
//! blocks, so that a shadow across a tag does not matter.

use crate::picture::Plane;

/// Side of a block, in pixels.
const BLOCK: usize = 8;

/// A block whose brightest and darkest pixel differ by less holds no edge.
const MIN_CONTRAST: u8 = 24;

/// A picture in black and white.
#[derive(Debug)]
pub struct Bits {
    width: usize,
    height: usize,
    black: Vec<bool>,
}

impl Bits {
    /// The black-and-white picture of a plane of brightness.
    pub fn of(plane: &Plane) -> Self {
        let (width, height) = (plane.width(), plane.height());
        let thresholds = Thresholds::of(plane);
        let mut black = Vec::with_capacity(width * height);
        for (y, row) in plane.rows().enumerate() {
            let limits = thresholds.row(y / BLOCK);
            for (pixels, &limit) in row.chunks(BLOCK).zip(limits) {
                black.extend(pixels.iter().map(|&pixel| pixel <= limit));
            }
        }
        Self { width, height, black }
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Whether a pixel is black; outside is white.
    pub fn black(&self, x: i32, y: i32) -> bool {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return false };
        x < self.width && self.black.get(y * self.width + x).copied().unwrap_or(false)
    }

    /// Whether a point lies in the picture.
    pub fn holds(&self, x: f32, y: f32) -> bool {
        x >= 0.0 && y >= 0.0 && x < self.width as f32 && y < self.height as f32
    }

    /// Whether the pixel under a point is black.
    pub fn black_at(&self, x: f32, y: f32) -> bool {
        // A cast of a float saturates, and gives 0 for what is no number.
        self.holds(x, y) && self.black(x as i32, y as i32)
    }

    /// A row.
    pub fn row(&self, y: usize) -> &[bool] {
        self.black.get(y * self.width..(y + 1) * self.width).unwrap_or_default()
    }
}

/// The threshold of each block.
struct Thresholds {
    across: usize,
    limits: Vec<u8>,
}

impl Thresholds {
    fn of(plane: &Plane) -> Self {
        let across = plane.width().div_ceil(BLOCK);
        let means = means(plane, across);
        let down = means.len().checked_div(across).unwrap_or(0);
        let at = |x: usize, y: usize| u32::from(means.get(y * across + x).copied().unwrap_or(0));
        let mut limits = Vec::with_capacity(means.len());
        for y in 0..down {
            // The window of 5 x 5 is pushed back into the picture at its edges.
            let ys = window(y, down);
            for x in 0..across {
                let xs = window(x, across);
                let sum: u32 = ys.clone().map(|y| xs.clone().map(|x| at(x, y)).sum::<u32>()).sum();
                let count = (xs.len() * ys.len()).max(1) as u32;
                limits.push((sum / count).min(255) as u8);
            }
        }
        Self { across, limits }
    }

    fn row(&self, y: usize) -> &[u8] {
        self.limits.get(y * self.across..(y + 1) * self.across).unwrap_or_default()
    }
}

fn window(at: usize, count: usize) -> std::ops::Range<usize> {
    let start = at.saturating_sub(2).min(count.saturating_sub(5));
    start..(start + 5).min(count)
}

/// What would part black from white in each block by itself.
fn means(plane: &Plane, across: usize) -> Vec<u8> {
    #[derive(Clone, Copy)]
    struct Block {
        sum: u32,
        count: u32,
        min: u8,
        max: u8,
    }
    const EMPTY: Block = Block { sum: 0, count: 0, min: u8::MAX, max: 0 };
    let mut means: Vec<u8> = Vec::new();
    let mut blocks = vec![EMPTY; across];
    let mut finish = |blocks: &mut Vec<Block>| {
        let row = means.len();
        for (x, block) in blocks.iter_mut().enumerate() {
            let mean = if block.max.saturating_sub(block.min) > MIN_CONTRAST {
                (block.sum / block.count.max(1)) as u8
            } else {
                // No edge here: all white, unless it is as dark as what is black around it.
                let around = [(1, 0), (0, 1), (1, 1)].map(|(left, up): (usize, usize)| {
                    let column = x.checked_sub(left)?;
                    let above = if up == 0 { row + column } else { (row + column).checked_sub(across)? };
                    means.get(above).map(|&mean| u32::from(mean))
                });
                match around {
                    [Some(left), Some(up), Some(corner)] => {
                        let around = (left + 2 * up + corner) / 4;
                        if u32::from(block.min) < around { around as u8 } else { block.min / 2 }
                    }
                    _ => block.min / 2,
                }
            };
            means.push(mean);
            *block = EMPTY;
        }
    };
    for (y, row) in plane.rows().enumerate() {
        for (pixels, block) in row.chunks(BLOCK).zip(&mut blocks) {
            for &pixel in pixels {
                block.sum += u32::from(pixel);
                block.min = block.min.min(pixel);
                block.max = block.max.max(pixel);
            }
            block.count += pixels.len() as u32;
        }
        if y % BLOCK == BLOCK - 1 || y + 1 == plane.height() {
            finish(&mut blocks);
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_found_in_light_and_in_shadow() {
        // Two stripes, one at 200/120, one at 60/20: no single threshold parts both.
        let pixels: Vec<u8> = (0..64 * 128)
            .map(|i| match (i / 64 < 64, (i + 4) % 16 < 8) {
                (true, true) => 120,
                (true, false) => 200,
                (false, true) => 20,
                (false, false) => 60,
            })
            .collect();
        let bits = Bits::of(&Plane::new(64, 128, pixels));
        for y in [4, 124] {
            assert!(bits.black(16, y) && !bits.black(24, y), "row {y}");
        }
    }

    #[test]
    fn odd_and_empty_sizes_are_taken() {
        for (width, height) in [(0, 0), (1, 1), (7, 3), (9, 17), (0, 5)] {
            let bits = Bits::of(&Plane::new(width, height, vec![9; width * height]));
            assert_eq!((bits.width(), bits.height()), (width, height));
            assert!(!bits.black(-1, 0) && !bits.black(i32::MAX, i32::MAX) && !bits.black_at(f32::NAN, 1.0));
        }
    }
}
