//! From bytes to a picture, with bounds on everything before memory is taken for it.
//!
//! Each format's module reads the headers itself, refuses what is over a limit, and only then lets
//! its codec run. A photo's texts (EXIF, XMP, IPTC) come out of the same walk.

mod jpeg;
mod png;
mod webp;

use crate::metadata::Texts;
use crate::picture::Picture;

/// The largest photo, in bytes: what an upload may have.
pub const MAX_BYTES: u64 = trackunit_contracts::MAX_IMAGE_BYTES;

/// The most pixels: the 50-megapixel photos of today's phones (8160 x 6120) just fit.
pub const MAX_PIXELS: u64 = 50_000_000;

/// The longest side, in pixels. A panorama is within it; more is a trick.
const MAX_SIDE: u32 = 20_000;

/// The most memory that decoding may take besides the file and the picture, in bytes. With those
/// (10 and 16 MiB, and a copy of the file on its way in) it stays below a limit of 256 MiB.
const MAX_MEMORY: u64 = 180 * 1024 * 1024;

/// Why a photo cannot be looked at. The texts are for its owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Over [`MAX_BYTES`].
    #[error("the file has {bytes} bytes; at most {MAX_BYTES} are looked at")]
    TooManyBytes {
        /// What it has.
        bytes: u64,
    },
    /// Its first bytes are of no format we know.
    #[error("the file is neither JPEG nor PNG nor WebP")]
    UnknownFormat,
    /// A rare kind of a known format.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    /// More pixels than are looked at, or a side too long.
    #[error(
        "the picture claims {width} x {height} pixels; at most {MAX_PIXELS}, and {MAX_SIDE} a side, are looked at"
    )]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Few enough pixels, but coded in a way that needs too much memory.
    #[error("decoding the picture's {width} x {height} pixels, coded as they are, needs too much memory")]
    TooMuchMemory {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The file ends before the picture does.
    #[error("the {0} file is incomplete: it breaks off in the middle of the picture")]
    Incomplete(&'static str),
    /// The codec found something wrong.
    #[error("the {format} file is damaged ({detail})")]
    Damaged {
        /// Which format.
        format: &'static str,
        /// What its codec says, cut to a line.
        detail: String,
    },
}

impl Refusal {
    /// What a codec said, cut to a line: its texts can quote the file.
    fn damaged(format: &'static str, detail: impl ToString) -> Self {
        let detail: String = detail.to_string().chars().filter(|c| !c.is_control()).take(160).collect();
        Self::Damaged { format, detail }
    }
}

/// A photo, read.
pub struct Decoded {
    /// What it shows.
    pub picture: Picture,
    /// What it says about itself.
    pub texts: Texts,
}

/// Reads a photo of any format we know.
pub fn decode(photo: &[u8]) -> Result<Decoded, Refusal> {
    if photo.is_empty() {
        return Err(Refusal::Empty);
    }
    if photo.len() as u64 > MAX_BYTES {
        return Err(Refusal::TooManyBytes { bytes: photo.len() as u64 });
    }
    if photo.starts_with(&[0xff, 0xd8, 0xff]) {
        jpeg::decode(photo)
    } else if photo.starts_with(b"\x89PNG\r\n\x1a\n") {
        png::decode(photo)
    } else if photo.starts_with(b"RIFF") && photo.get(8..12) == Some(b"WEBP") {
        webp::decode(photo)
    } else {
        Err(Refusal::UnknownFormat)
    }
}

/// Refuses sizes over the limits, and empty ones. `bytes_per_pixel` is what decoding takes.
fn check_size(format: &'static str, width: u32, height: u32, bytes_per_pixel: u64) -> Result<(), Refusal> {
    if width == 0 || height == 0 {
        return Err(Refusal::damaged(format, "a side of 0 pixels"));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width > MAX_SIDE || height > MAX_SIDE {
        return Err(Refusal::TooLarge { width, height });
    }
    if pixels * bytes_per_pixel > MAX_MEMORY {
        return Err(Refusal::TooMuchMemory { width, height });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_refused_by_name() {
        let refused = |bytes: &[u8]| decode(bytes).err().unwrap().to_string();
        assert_eq!(refused(b""), "the file is empty");
        assert_eq!(refused(b"%PDF-1.7"), "the file is neither JPEG nor PNG nor WebP");
        assert_eq!(refused(b"RIFF\0\0\0\0WAVE"), "the file is neither JPEG nor PNG nor WebP");
        assert!(refused(&vec![0; MAX_BYTES as usize + 1]).starts_with("the file has 1"));
    }

    #[test]
    fn sizes_are_checked_against_every_limit() {
        assert!(check_size("PNG", 8_160, 6_120, 3).is_ok());
        assert!(matches!(check_size("PNG", 0, 1, 3), Err(Refusal::Damaged { .. })));
        assert!(matches!(check_size("PNG", 20_001, 1, 3), Err(Refusal::TooLarge { .. })));
        assert!(matches!(check_size("PNG", 8_000, 8_000, 3), Err(Refusal::TooLarge { .. })));
        assert!(matches!(check_size("PNG", u32::MAX, u32::MAX, 3), Err(Refusal::TooLarge { .. })));
        assert!(matches!(check_size("PNG", 7_000, 7_000, 9), Err(Refusal::TooMuchMemory { .. })));
    }
}
