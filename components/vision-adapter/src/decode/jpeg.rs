//! JPEG. The segments are walked here first: that walk finds the size and how the picture is coded
//! (so that memory is known before it is taken), the texts, and whether the file is complete, which
//! the codec forgives.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Decoded, Refusal, check_size};
use crate::metadata::Texts;
use crate::picture::Canvas;

const FORMAT: &str = "JPEG";

/// The most passes (scans) over a picture. Encoders write about 10; each pass visits every block,
/// so more would let a small file cost a lot.
const MAX_SCANS: usize = 24;

/// How the picture is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    width: u32,
    height: u32,
    progressive: bool,
    components: u8,
    /// Samples per pixel of all components together, in 16ths: 24 for the usual 4:2:0.
    density: u64,
}

impl Frame {
    /// Bytes of memory per pixel that the codec takes: its output, and for a picture in several
    /// passes every coefficient (2 bytes each) until the last one.
    fn memory(&self, passes: usize) -> u64 {
        let output = u64::from(self.components.max(3));
        if self.progressive || passes > 1 { output + (self.density * 2).div_ceil(16) } else { output }
    }
}

/// What a walk over the segments found.
#[derive(Debug, Default)]
struct Outline {
    frame: Option<Frame>,
    texts: Texts,
    passes: usize,
    complete: bool,
}

pub(super) fn decode(photo: &[u8]) -> Result<Decoded, Refusal> {
    let outline = walk(photo)?;
    let Some(frame) = outline.frame else {
        return Err(if outline.complete {
            Refusal::damaged(FORMAT, "it holds no picture")
        } else {
            Refusal::Incomplete(FORMAT)
        });
    };
    check_size(FORMAT, frame.width, frame.height, frame.memory(outline.passes))?;
    if !outline.complete {
        return Err(Refusal::Incomplete(FORMAT));
    }
    // Brightness is what codes are read from, so the conversion to RGB is left to the few
    // pixels whose colour is measured.
    let space = if frame.components == 1 { ColorSpace::Luma } else { ColorSpace::YCbCr };
    let (pixels, space) = match pixels(photo, frame, space) {
        // Four-component pictures, and RGB ones, cannot be had as YCbCr.
        Err(_) if frame.components > 1 => (pixels(photo, frame, ColorSpace::RGB)?, ColorSpace::RGB),
        other => (other?, space),
    };
    let mut canvas = Canvas::new(frame.width, frame.height);
    let width = frame.width as usize;
    let triple = |row: &[u8], x: usize| -> Option<[u8; 3]> { row.get(x * 3..x * 3 + 3)?.try_into().ok() };
    match space {
        ColorSpace::Luma => {
            for row in pixels.chunks_exact(width) {
                canvas.push(row.iter().copied(), |x| row.get(x).map(|&grey| [grey; 3]));
            }
        }
        ColorSpace::YCbCr => {
            for row in pixels.chunks_exact(width * 3) {
                canvas.push(row.iter().step_by(3).copied(), |x| triple(row, x).map(rgb));
            }
        }
        _ => {
            for row in pixels.chunks_exact(width * 3) {
                canvas
                    .push(row.as_chunks().0.iter().map(|&rgb| crate::picture::luma(rgb)), |x| triple(row, x));
            }
        }
    }
    Ok(Decoded { picture: canvas.finish(), texts: outline.texts })
}

/// Runs the codec, if it reads the same headers as the walk did: otherwise a file could show
/// one size to the check and another to the codec.
fn pixels(photo: &[u8], frame: Frame, space: ColorSpace) -> Result<Vec<u8>, Refusal> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(super::MAX_SIDE as usize)
        .set_max_height(super::MAX_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(space);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(photo), options);
    decoder.decode_headers().map_err(|error| Refusal::damaged(FORMAT, error))?;
    let same = decoder.info().is_some_and(|info| {
        (u32::from(info.width), u32::from(info.height)) == (frame.width, frame.height)
            && info.components == frame.components
            && info.sof.is_sequential_dct() != frame.progressive
    });
    if !same {
        return Err(Refusal::damaged(FORMAT, "its headers can be read in two ways"));
    }
    if decoder.output_colorspace() != Some(space) {
        return Err(Refusal::Unsupported("JPEG files in this colour space"));
    }
    decoder.decode().map_err(|error| Refusal::damaged(FORMAT, error))
}

/// Walks the segments up to the end of the picture. What follows it (a phone's depth map or film)
/// is not looked at.
fn walk(photo: &[u8]) -> Result<Outline, Refusal> {
    let mut outline = Outline::default();
    let mut rest = photo.get(2..).unwrap_or_default();
    while let Some(start) = rest.iter().position(|&byte| byte == 0xff) {
        rest = rest.get(start..).unwrap_or_default();
        // Any number of 0xff may stand before a marker.
        let fill = rest.iter().position(|&byte| byte != 0xff).unwrap_or(rest.len());
        let marker = rest.get(fill).copied().unwrap_or(0);
        rest = rest.get(fill + 1..).unwrap_or_default();
        match marker {
            // A literal 0xff in the picture's data, restart marks: no segment follows.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => {
                outline.complete = true;
                break;
            }
            _ => {}
        }
        let Some(length) = rest.first_chunk().map(|&bytes| usize::from(u16::from_be_bytes(bytes))) else {
            break;
        };
        let Some(segment) = rest.get(2..length) else { break };
        rest = rest.get(length..).unwrap_or_default();
        match marker {
            0xc0..=0xc2 => outline.frame = Some(frame(marker, segment, outline.frame)?),
            // 0xc4, 0xc8 and 0xcc are tables.
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(Refusal::Unsupported("lossless and arithmetic-coded JPEG files"));
            }
            0xda => {
                outline.passes += 1;
                if outline.passes > MAX_SCANS {
                    return Err(Refusal::damaged(FORMAT, "more passes than any camera makes"));
                }
            }
            0xe1 => {
                if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
                    outline.texts.exif(exif);
                } else if let Some(xmp) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    outline.texts.xmp(xmp);
                }
            }
            0xed => {
                if let Some(resources) = segment.strip_prefix(b"Photoshop 3.0\0") {
                    outline.texts.photoshop(resources);
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// Reads a frame header. A second one would let the size that is checked differ from the size
/// that is decoded.
fn frame(marker: u8, segment: &[u8], earlier: Option<Frame>) -> Result<Frame, Refusal> {
    let [8, h1, h0, w1, w0, components, table @ ..] = segment else {
        return Err(if segment.len() >= 6 {
            Refusal::Unsupported("JPEG files of other than 8 bits")
        } else {
            Refusal::damaged(FORMAT, "a short frame header")
        });
    };
    if earlier.is_some() {
        return Err(Refusal::damaged(FORMAT, "more than one frame header"));
    }
    if !matches!(components, 1 | 3 | 4) || table.len() < usize::from(*components) * 3 {
        return Err(Refusal::damaged(FORMAT, "an impossible number of components"));
    }
    let factors: Vec<(u64, u64)> = table
        .as_chunks::<3>()
        .0
        .iter()
        .take(usize::from(*components))
        .map(|[_, factors, _]| (u64::from(factors >> 4), u64::from(factors & 15)))
        .collect();
    let across = factors.iter().map(|factor| factor.0).max().unwrap_or(0);
    let down = factors.iter().map(|factor| factor.1).max().unwrap_or(0);
    if factors.iter().any(|&(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v)) {
        return Err(Refusal::damaged(FORMAT, "impossible sampling factors"));
    }
    let samples: u64 = factors.iter().map(|(h, v)| h * v).sum();
    Ok(Frame {
        width: u32::from(u16::from_be_bytes([*w1, *w0])),
        height: u32::from(u16::from_be_bytes([*h1, *h0])),
        progressive: marker == 0xc2,
        components: *components,
        density: (samples * 16).div_ceil(across * down),
    })
}

/// A colour as JPEG stores it, as red, green and blue (JFIF's formula, in 1024ths).
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 10, i32::from(cb) - 128, i32::from(cr) - 128);
    let channel = |value: i32| ((value + 512) >> 10).clamp(0, 255) as u8;
    [channel(y + 1436 * cr), channel(y - 352 * cb - 731 * cr), channel(y + 1815 * cb)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(width: u16, height: u16, progressive: bool, colour: jpeg_encoder::ColorType) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut out, 90);
        encoder.set_progressive(progressive);
        let channels = match colour {
            jpeg_encoder::ColorType::Luma => 1,
            jpeg_encoder::ColorType::Cmyk => 4,
            _ => 3,
        };
        let pixels: Vec<u8> =
            (0..usize::from(width) * usize::from(height) * channels).map(|i| (i / 7 % 251) as u8).collect();
        encoder.encode(&pixels, width, height, colour).unwrap();
        out
    }

    #[test]
    fn every_usual_way_of_coding_is_read() {
        use jpeg_encoder::ColorType::{Cmyk, Luma, Rgb};
        for (colour, progressive) in [(Rgb, false), (Rgb, true), (Luma, false), (Cmyk, false)] {
            let photo = encode(130, 70, progressive, colour);
            let decoded = decode(&photo).map_err(|refusal| refusal.to_string()).unwrap();
            assert_eq!((decoded.picture.luma.width(), decoded.picture.luma.height()), (130, 70));
            assert!(!decoded.picture.colours.is_empty());
        }
    }

    #[test]
    fn colours_come_out_as_they_went_in() {
        let mut photo = Vec::new();
        let red = [200_u8, 30, 40].repeat(64 * 64);
        jpeg_encoder::Encoder::new(&mut photo, 95)
            .encode(&red, 64, 64, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        let colour = decode(&photo).ok().unwrap().picture.colours[0];
        assert!(colour.iter().zip([200, 30, 40]).all(|(&a, b)| a.abs_diff(b) < 6), "{colour:?}");
    }

    #[test]
    fn a_file_that_breaks_off_is_incomplete_wherever_it_breaks() {
        for progressive in [false, true] {
            let photo = encode(200, 200, progressive, jpeg_encoder::ColorType::Rgb);
            for length in (4..photo.len() - 2).step_by(97) {
                let refusal = decode(&photo[..length]).err();
                assert_eq!(refusal, Some(Refusal::Incomplete("JPEG")), "cut at {length}");
            }
        }
    }

    #[test]
    fn a_claimed_size_is_refused_before_it_is_decoded() {
        let mut photo = encode(64, 64, false, jpeg_encoder::ColorType::Rgb);
        let sof = photo.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        photo[sof + 5..sof + 9].copy_from_slice(&[0xff; 4]);
        assert_eq!(decode(&photo).err(), Some(Refusal::TooLarge { width: 65_535, height: 65_535 }));
        photo[sof + 5..sof + 9].copy_from_slice(&[0; 4]);
        assert!(matches!(decode(&photo).err(), Some(Refusal::Damaged { .. })));
    }

    #[test]
    fn a_progressive_picture_counts_its_coefficients() {
        let frame =
            |table: &[u8]| super::frame(0xc2, &[&[8, 0x14, 0, 0x20, 0, 3], table].concat(), None).unwrap();
        // 4:2:0: 3 bytes of output and 1.5 samples of 2 bytes.
        assert_eq!(frame(&[1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]).memory(1), 6);
        assert_eq!(frame(&[1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]).memory(1), 9);
    }

    #[test]
    fn more_passes_than_cameras_make_are_refused() {
        let mut photo = encode(64, 64, false, jpeg_encoder::ColorType::Rgb);
        let sos = photo.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let again = photo[sos..photo.len() - 2].repeat(MAX_SCANS);
        photo.splice(sos..sos, again);
        assert!(decode(&photo).err().unwrap().to_string().contains("passes"));
    }

    #[test]
    fn a_second_frame_header_is_refused() {
        let mut photo = encode(64, 64, false, jpeg_encoder::ColorType::Rgb);
        let sof = photo.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        let header = photo[sof..sof + 19].to_vec();
        photo.splice(sof..sof, header);
        assert!(matches!(decode(&photo).err(), Some(Refusal::Damaged { .. })));
    }

    #[test]
    fn what_follows_the_picture_does_not_matter() {
        let mut photo = encode(64, 64, false, jpeg_encoder::ColorType::Rgb);
        photo.extend(b"\0\0\0\x18ftypmp42 a film");
        assert!(decode(&photo).is_ok());
    }
}
