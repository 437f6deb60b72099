//! PNG. Rows are taken as they are inflated, so that a bomb of a file costs no memory; only an
//! interlaced picture has to be held as a whole.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits, Transformations};

use super::{Decoded, Refusal, check_size};
use crate::metadata::Texts;
use crate::picture::{Canvas, luma};

const FORMAT: &str = "PNG";

/// Memory for the codec's own needs, in bytes: a few rows, a palette.
const CODEC_MEMORY: usize = 16 * 1024 * 1024;

pub(super) fn decode(photo: &[u8]) -> Result<Decoded, Refusal> {
    let mut options = DecodeOptions::default();
    // Texts are read from the chunks themselves, with bounds of their own; colour profiles do
    // not matter to codes and liveries, and both are compressed.
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(photo), options);
    decoder.set_limits(Limits { bytes: CODEC_MEMORY });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let info = decoder.read_header_info().map_err(refusal)?;
    let (width, height, interlaced) = (info.width, info.height, info.interlaced);
    // An interlaced picture is held as a whole, with up to 4 bytes per pixel.
    check_size(FORMAT, width, height, if interlaced { 4 } else { 0 })?;
    let mut reader = decoder.read_info().map_err(refusal)?;
    let (colour, depth) = reader.output_color_type();
    let Some(channels) = channels(colour, depth) else {
        return Err(Refusal::Unsupported("PNG files of this colour type"));
    };
    let mut canvas = Canvas::new(width, height);
    if interlaced {
        let size = reader.output_buffer_size().ok_or(Refusal::TooMuchMemory { width, height })?;
        let mut pixels = vec![0; size];
        reader.next_frame(&mut pixels).map_err(refusal)?;
        for row in pixels.chunks_exact(width as usize * channels) {
            push(&mut canvas, row, channels);
        }
    } else {
        for _ in 0..height {
            let row = reader.next_row().map_err(refusal)?.ok_or(Refusal::Incomplete(FORMAT))?;
            push(&mut canvas, row.data(), channels);
        }
    }
    Ok(Decoded { picture: canvas.finish(), texts: texts(photo) })
}

fn refusal(error: png::DecodingError) -> Refusal {
    match error {
        png::DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Refusal::Incomplete(FORMAT)
        }
        error => Refusal::damaged(FORMAT, error),
    }
}

fn channels(colour: ColorType, depth: BitDepth) -> Option<usize> {
    (depth == BitDepth::Eight).then_some(match colour {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return None,
    })
}

fn push(canvas: &mut Canvas, row: &[u8], channels: usize) {
    let colour = |x: usize| pixel(row.get(x * channels..(x + 1) * channels)?);
    match channels {
        1 => canvas.push(row.iter().copied(), colour),
        3 => canvas.push(row.as_chunks().0.iter().map(|&rgb| luma(rgb)), colour),
        _ => canvas.push(row.chunks_exact(channels).filter_map(pixel).map(luma), colour),
    }
}

/// A pixel of any kind as red, green and blue, as it looks on white paper.
fn pixel(pixel: &[u8]) -> Option<[u8; 3]> {
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        ((value * alpha + 255 * (255 - alpha)) / 255) as u8
    };
    match *pixel {
        [grey] => Some([grey; 3]),
        [grey, alpha] => Some([on_white(grey, alpha); 3]),
        [red, green, blue] => Some([red, green, blue]),
        [red, green, blue, alpha] => {
            Some([on_white(red, alpha), on_white(green, alpha), on_white(blue, alpha)])
        }
        _ => None,
    }
}

/// Texts in the file's chunks. A chunk that is not well-formed ends the search.
fn texts(photo: &[u8]) -> Texts {
    let mut texts = Texts::default();
    let mut rest = photo.get(8..).unwrap_or_default();
    while let Some((&[l3, l2, l1, l0, k3, k2, k1, k0], behind)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
        let Some(data) = behind.get(..length) else { break };
        match &[k3, k2, k1, k0] {
            b"eXIf" => texts.exif(data),
            b"tEXt" | b"zTXt" | b"iTXt" => text(&mut texts, [k3, k2, k1, k0], data),
            b"IEND" => break,
            _ => {}
        }
        // 4 bytes of checksum.
        rest = behind.get(length.saturating_add(4)..).unwrap_or_default();
    }
    texts
}

/// A text chunk: a keyword, a zero byte, then what its kind has.
fn text(texts: &mut Texts, kind: [u8; 4], data: &[u8]) {
    let Some(end) = data.iter().take(80).position(|&byte| byte == 0) else { return };
    let (keyword, data) = (data.get(..end).unwrap_or_default(), data.get(end + 1..).unwrap_or_default());
    match (&kind, data) {
        (b"tEXt", text) => texts.named(keyword, text),
        (b"zTXt", [0, packed @ ..]) => texts.named(keyword, &inflate(packed)),
        (b"iTXt", [packed, 0, tags @ ..]) => {
            // Language and translated keyword, each ended by a zero byte.
            let mut parts = tags.splitn(3, |&byte| byte == 0).skip(2);
            let Some(text) = parts.next() else { return };
            let unpacked = if *packed == 1 { inflate(text) } else { text.to_vec() };
            if keyword == b"XML:com.adobe.xmp" {
                texts.xmp(&unpacked);
            } else {
                texts.named(keyword, &unpacked);
            }
        }
        _ => {}
    }
}

/// Unpacks at most as much as texts may have; more is a bomb, or of no use.
fn inflate(packed: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut unpacked = Vec::new();
    let limit = crate::metadata::MAX_BLOCK as u64;
    // What came before an error is kept: it is text of its own.
    let _ = flate2::read::ZlibDecoder::new(packed).take(limit).read_to_end(&mut unpacked);
    unpacked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(
        width: u32,
        height: u32,
        colour: ColorType,
        depth: BitDepth,
        text: Option<(&str, &str)>,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == ColorType::Indexed {
            encoder.set_palette([0, 0, 0, 255, 0, 0].as_slice());
        }
        if let Some((keyword, text)) = text {
            encoder.add_ztxt_chunk(keyword.into(), text.into()).unwrap();
        }
        let mut writer = encoder.write_header().unwrap();
        let bits = colour.samples() * depth as usize;
        writer.write_image_data(&vec![0; (width as usize * bits).div_ceil(8) * height as usize]).unwrap();
        writer.finish().unwrap();
        out
    }

    #[test]
    fn every_colour_type_is_read() {
        use BitDepth::{Eight, One, Sixteen};
        for (colour, depth) in [
            (ColorType::Rgb, Eight),
            (ColorType::Rgb, Sixteen),
            (ColorType::Rgba, Eight),
            (ColorType::Grayscale, One),
            (ColorType::GrayscaleAlpha, Eight),
            (ColorType::Indexed, One),
        ] {
            let decoded =
                decode(&encode(33, 9, colour, depth, None)).map_err(|refusal| refusal.to_string()).unwrap();
            assert_eq!((decoded.picture.luma.width(), decoded.picture.luma.height()), (33, 9), "{colour:?}");
        }
    }

    #[test]
    fn what_is_transparent_is_white() {
        let decoded = decode(&encode(4, 4, ColorType::Rgba, BitDepth::Eight, None)).ok().unwrap();
        assert_eq!(decoded.picture.luma.rows().next().unwrap(), [255; 4]);
    }

    #[test]
    fn a_packed_text_is_read_and_a_bomb_is_cut() {
        let photo =
            encode(4, 4, ColorType::Rgb, BitDepth::Eight, Some(("Description", "Volvo L90H wheel loader")));
        assert_eq!(decode(&photo).ok().unwrap().texts.found()[0].text, "Volvo L90H wheel loader");
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packed, &vec![b'a'; 50_000_000]).unwrap();
        assert_eq!(inflate(&packed.finish().unwrap()).len(), crate::metadata::MAX_BLOCK);
    }

    #[test]
    fn a_claimed_size_is_refused_before_it_is_decoded() {
        let mut photo = encode(4, 4, ColorType::Rgb, BitDepth::Eight, None);
        photo[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let crc = crc(&photo[12..29]);
        photo[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&photo).err(), Some(Refusal::TooLarge { width: 65_536, height: 65_536 }));
    }

    #[test]
    fn a_file_that_breaks_off_is_refused() {
        let photo = encode(64, 64, ColorType::Rgb, BitDepth::Eight, None);
        assert!(decode(&photo[..photo.len() - 30]).is_err());
    }

    fn crc(data: &[u8]) -> u32 {
        !data.iter().fold(!0_u32, |crc, &byte| {
            (0..8)
                .fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    }
}
