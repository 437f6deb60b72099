//! Photos made on the spot: each one of its own, whole or damaged.

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::random::Random;

/// The side of a small photo, in pixels: it decodes in well under a millisecond.
const SMALL: u16 = 24;

/// A photo, and how its analysis has to end.
#[derive(Debug, Clone)]
pub struct Photo {
    /// As a phone would call it.
    pub name: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// The file.
    pub bytes: Bytes,
    /// Whether it can be decoded.
    pub whole: bool,
}

impl Photo {
    /// A small photo that nobody had before, JPEG or PNG; `whole` or broken off in its middle.
    pub fn small(random: &mut Random, whole: bool) -> Self {
        let pixels: Vec<u8> = (0..usize::from(SMALL) * usize::from(SMALL) * 3)
            .map(|_| random.number().to_be_bytes()[0])
            .collect();
        let (name, content_type, mut bytes) = if random.one_in(2) {
            ("photo.jpg", "image/jpeg", jpeg(&pixels, SMALL, SMALL, 80))
        } else {
            ("photo.png", "image/png", png(&pixels, SMALL, SMALL))
        };
        if !whole {
            bytes.truncate(bytes.len() / 2);
        }
        Self { name, content_type, bytes: bytes.into(), whole }
    }
}

/// RGB pixels as a JPEG, as phones write it (4:2:0).
pub fn jpeg(pixels: &[u8], width: u16, height: u16, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(pixels, width, height, ColorType::Rgb).unwrap();
    bytes
}

/// RGB pixels as a PNG, not compressed: RFC 1951 has stored blocks for that, so it takes no
/// library. At most 65,535 bytes of lines.
fn png(pixels: &[u8], width: u16, height: u16) -> Vec<u8> {
    let lines: Vec<u8> = pixels
        .chunks(usize::from(width) * 3)
        .flat_map(|line| std::iter::once(0).chain(line.iter().copied()))
        .collect();
    let length = u16::try_from(lines.len()).unwrap();
    // zlib's header, one last block that is stored, and the checksum behind it.
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend(&lines);
    data.extend(adler32(&lines).to_be_bytes());
    let mut head = Vec::new();
    head.extend(u32::from(width).to_be_bytes());
    head.extend(u32::from(height).to_be_bytes());
    // 8 bits, RGB, the only methods there are, not interlaced.
    head.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", head), (b"IDAT", data), (b"IEND", Vec::new())] {
        file.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        let checked = [&kind[..], &content].concat();
        file.extend(&checked);
        file.extend(crc32(&checked).to_be_bytes());
    }
    file
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
