//! The photo of the figures: a sample of the repository in the size that phones send.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use monopod_tests::photo::jpeg;

/// How large it is to be, in bytes; it comes within a few percent.
const BYTES: usize = 300_000;
/// Its width and height.
pub const SIZE: (u16, u16) = (1_600, 1_200);

/// The tagged excavator in 1,600 x 1,200 pixels and about 300 KB.
pub fn make() -> Vec<u8> {
    let file = monopod_tests::from_environment("MONOPOD_SAMPLES").join("excavator-tagged.jpg");
    let mut decoder = JpegDecoder::new(ZCursor::new(std::fs::read(file).unwrap()));
    let pixels = decoder.decode().unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    let scaled = scale(&pixels, (width, height), (usize::from(SIZE.0), usize::from(SIZE.1)));
    (60..=98)
        .map(|quality| jpeg(&scaled, SIZE.0, SIZE.1, quality))
        .min_by_key(|photo| photo.len().abs_diff(BYTES))
        .unwrap()
}

/// RGB pixels in another size, each from the four nearest.
fn scale(from: &[u8], (width, height): (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let mut out = Vec::with_capacity(to.0 * to.1 * 3);
    for y in 0..to.1 {
        let (top, down) = place(y, to.1, height);
        for x in 0..to.0 {
            let (left, right) = place(x, to.0, width);
            for channel in 0..3 {
                let at = |x: usize, y: usize| {
                    f64::from(from[(y.min(height - 1) * width + x.min(width - 1)) * 3 + channel])
                };
                let above = at(left, top) * (1.0 - right) + at(left + 1, top) * right;
                let below = at(left, top + 1) * (1.0 - right) + at(left + 1, top + 1) * right;
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 255"
                )]
                out.push((above * (1.0 - down) + below * down).round() as u8);
            }
        }
    }
    out
}

/// Where the `index`th of `of` lies among `among`: the one before it, and how far behind that.
fn place(index: usize, of: usize, among: usize) -> (usize, f64) {
    let exact = index as f64 * among as f64 / of as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let before = exact as usize;
    (before, exact.fract())
}
