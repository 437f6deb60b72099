//! WebP, lossy and lossless; of an animation the first picture.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::{Decoded, Refusal, check_size};
use crate::metadata::{MAX_BLOCK, Texts};
use crate::picture::{Canvas, luma};

const FORMAT: &str = "WebP";

/// Bytes of memory per pixel: 4 for a lossless picture's own buffer and 4 for the output. A lossy
/// one needs less (1.5 for its planes and up to 4), an animation 4 more for the canvas its
/// pictures are laid on.
const MEMORY: u64 = 8;
const ANIMATED: u64 = 12;

pub(super) fn decode(photo: &[u8]) -> Result<Decoded, Refusal> {
    // The size is read from the headers before the codec sees the file; the codec's own answer
    // is checked as well, because a file can name its size twice.
    if let Some((width, height)) = claimed(photo) {
        check_size(FORMAT, width, height, MEMORY)?;
    }
    let mut decoder = WebPDecoder::new(Cursor::new(photo)).map_err(refusal)?;
    decoder.set_memory_limit(MAX_BLOCK);
    let (width, height) = decoder.dimensions();
    check_size(FORMAT, width, height, if decoder.is_animated() { ANIMATED } else { MEMORY })?;
    let mut texts = Texts::default();
    // A chunk over the memory limit is an error here; the picture may still be good.
    if let Ok(Some(exif)) = decoder.exif_metadata() {
        texts.exif(&exif);
    }
    if let Ok(Some(xmp)) = decoder.xmp_metadata() {
        texts.xmp(&xmp);
    }
    let size = decoder.output_buffer_size().ok_or(Refusal::TooMuchMemory { width, height })?;
    let mut pixels = vec![0; size];
    decoder.read_image(&mut pixels).map_err(refusal)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut canvas = Canvas::new(width, height);
    for row in pixels.chunks_exact(width as usize * channels) {
        // What is transparent is taken by its own colour: photos have no alpha.
        let colour = |x: usize| row.get(x * channels..x * channels + 3)?.try_into().ok();
        let colours = row.chunks_exact(channels).filter_map(|pixel| pixel.first_chunk().copied());
        canvas.push(colours.map(luma), colour);
    }
    Ok(Decoded { picture: canvas.finish(), texts })
}

fn refusal(error: DecodingError) -> Refusal {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Refusal::Incomplete(FORMAT)
        }
        error => Refusal::damaged(FORMAT, error),
    }
}

/// The size of the extended form's canvas (24 bits each, less one).
fn claimed(photo: &[u8]) -> Option<(u32, u32)> {
    let [b'V', b'P', b'8', b'X', _, _, _, _, _, _, _, _, w0, w1, w2, h0, h1, h2, ..] = *photo.get(12..)?
    else {
        return None;
    };
    Some((u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i / 5 % 256) as u8).collect();
        let mut encoder = image_webp::WebPEncoder::new(&mut out);
        encoder.set_xmp_metadata(b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".to_vec());
        encoder.encode(&pixels, width, height, image_webp::ColorType::Rgb8).unwrap();
        out
    }

    #[test]
    fn a_picture_is_read() {
        let decoded = decode(&encode(50, 40)).map_err(|refusal| refusal.to_string()).unwrap();
        assert_eq!((decoded.picture.luma.width(), decoded.picture.luma.height()), (50, 40));
    }

    #[test]
    fn a_claimed_canvas_is_refused_before_it_is_decoded() {
        let mut photo = encode(50, 40);
        photo[24..30].copy_from_slice(&[0xff; 6]);
        assert_eq!(decode(&photo).err(), Some(Refusal::TooLarge { width: 1 << 24, height: 1 << 24 }));
    }

    #[test]
    fn a_file_that_breaks_off_is_refused() {
        let photo = encode(50, 40);
        for length in [13, 31, 60, photo.len() / 2] {
            assert!(decode(&photo[..length]).is_err(), "cut at {length}");
        }
    }
}
