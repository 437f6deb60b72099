//! What is kept of a photo once it is decoded: its brightness, for codes, and a thin sample of its
//! colours, for liveries. Decoders fill a [`Canvas`] row by row, so that no decoder's own format
//! and no full-size colour copy goes further than its module.

/// The most pixels of brightness that are kept; a larger photo is averaged down by a whole factor.
/// 16 million are a 16 MiB plane and keep a 48-megapixel phone photo at half its width, where a
/// printed tag that fills a fortieth of the picture is still 4 pixels per module.
const MAX_LUMA: u64 = 16_000_000;

/// Colours are sampled on a grid of about this many columns: enough to measure a share of the
/// picture to a percent.
const COLOUR_COLUMNS: usize = 160;

/// A plane of brightness, 0 (black) to 255.
#[derive(Debug, Clone, Default)]
pub struct Plane {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Plane {
    /// A plane of rows laid end to end; missing pixels are white, extra ones dropped.
    pub fn new(width: usize, height: usize, mut pixels: Vec<u8>) -> Self {
        pixels.resize(width.saturating_mul(height), u8::MAX);
        Self { width, height, pixels }
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        // `max(1)`: chunks of nothing are not allowed, and an empty plane has no rows anyway.
        self.pixels.chunks_exact(self.width.max(1))
    }

    /// The plane averaged down by a whole factor; what does not fill a whole pixel is left out.
    pub fn shrink(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let (width, height) = (self.width / factor, self.height / factor);
        let mut averager = Averager::new(width, factor);
        for row in self.rows() {
            averager.push(row.iter().copied());
        }
        Self::new(width, height, averager.pixels)
    }
}

/// A decoded photo.
#[derive(Debug, Default)]
pub struct Picture {
    /// Its brightness.
    pub luma: Plane,
    /// A sample of its colours (red, green, blue), evenly spread.
    pub colours: Vec<[u8; 3]>,
}

/// Takes a photo row by row.
pub struct Canvas {
    width: usize,
    height: usize,
    averager: Averager,
    colours: Vec<[u8; 3]>,
    /// Distance of two sampled pixels, both ways.
    step: usize,
    y: usize,
}

impl Canvas {
    /// A canvas for a photo of this size. The caller has checked that the size is allowed.
    pub fn new(width: u32, height: u32) -> Self {
        let mut factor = 1_u32;
        while u64::from(width / factor) * u64::from(height / factor) > MAX_LUMA {
            factor += 1;
        }
        let (width, height, factor) = (width as usize, height as usize, factor as usize);
        let step = (width / COLOUR_COLUMNS).max(1);
        let mut averager = Averager::new(width / factor, factor);
        averager.pixels.reserve_exact((width / factor) * (height / factor));
        Self { width, height, averager, colours: Vec::new(), step, y: 0 }
    }

    /// Adds the next row: the brightness of each pixel, and a function that gives a pixel's colour.
    pub fn push(&mut self, luma: impl Iterator<Item = u8>, colour: impl Fn(usize) -> Option<[u8; 3]>) {
        if self.y >= self.height {
            return;
        }
        // Sampling in the middle of each cell keeps a frame at the edge from counting.
        if self.y % self.step == self.step / 2 {
            self.colours.extend((self.step / 2..self.width).step_by(self.step).filter_map(colour));
        }
        self.averager.push(luma);
        self.y += 1;
    }

    /// The picture of the rows that came.
    pub fn finish(self) -> Picture {
        let width = self.width / self.averager.factor;
        let height = self.height / self.averager.factor;
        Picture { luma: Plane::new(width, height, self.averager.pixels), colours: self.colours }
    }
}

/// Averages squares of pixels into one.
struct Averager {
    factor: usize,
    width: usize,
    sums: Vec<u32>,
    rows: usize,
    pixels: Vec<u8>,
}

impl Averager {
    fn new(width: usize, factor: usize) -> Self {
        Self { factor, width, sums: vec![0; width], rows: 0, pixels: Vec::new() }
    }

    fn push(&mut self, mut row: impl Iterator<Item = u8>) {
        if self.factor == 1 {
            self.pixels.extend(row.take(self.width));
            return;
        }
        for sum in &mut self.sums {
            *sum += row.by_ref().take(self.factor).map(u32::from).sum::<u32>();
        }
        self.rows += 1;
        if self.rows == self.factor {
            // At most 255 * factor^2, divided by factor^2.
            let area = (self.factor * self.factor) as u32;
            self.pixels.extend(self.sums.iter().map(|sum| (sum / area).min(255) as u8));
            self.sums.fill(0);
            self.rows = 0;
        }
    }
}

/// The brightness of a colour (ITU-R BT.601, in 256ths).
pub fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_averages_whole_squares_and_drops_the_rest() {
        let plane = Plane::new(5, 3, vec![0, 10, 20, 30, 99, 20, 30, 40, 50, 99, 1, 1, 1, 1, 1]);
        let small = plane.shrink(2);
        assert_eq!((small.width(), small.height()), (2, 1));
        assert_eq!(small.rows().next().unwrap(), [15, 35]);
    }

    #[test]
    fn a_large_photo_keeps_at_most_the_allowed_brightness() {
        let (width, height) = (9_000, 5_500);
        let mut canvas = Canvas::new(width, height);
        for _ in 0..height {
            canvas.push((0..width).map(|x| x as u8), |x| Some([x as u8, 0, 0]));
        }
        let picture = canvas.finish();
        assert!((picture.luma.width() * picture.luma.height()) as u64 <= MAX_LUMA);
        assert!(picture.colours.len() < 30_000, "{}", picture.colours.len());
    }

    #[test]
    fn too_few_rows_are_filled_with_white() {
        let mut canvas = Canvas::new(2, 2);
        canvas.push([7, 7].into_iter(), |_| None);
        assert_eq!(canvas.finish().luma.rows().last().unwrap(), [255, 255]);
    }

    #[test]
    fn brightness_spans_black_to_white() {
        assert_eq!(luma([0, 0, 0]), 0);
        assert_eq!(luma([255, 255, 255]), 255);
    }
}
