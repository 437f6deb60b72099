//! EXIF: a TIFF structure of numbered fields. The handful of fields in which people describe a
//! picture are read here by hand: general EXIF readers keep every field of every directory, and
//! directories can be laid over each other so that 64 KiB hold millions.

use super::latin1_or_utf8;

/// The most fields of a directory that are visited. Cameras write about 60.
const MAX_FIELDS: usize = 512;

const IMAGE_DESCRIPTION: u16 = 0x010e;
const EXIF_DIRECTORY: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;
/// Windows' title, comment, keywords and subject: UTF-16.
const WINDOWS: [u16; 4] = [0x9c9b, 0x9c9c, 0x9c9e, 0x9c9f];

/// Calls `found` with each description in a block.
pub(super) fn read(block: &[u8], found: &mut dyn FnMut(&str)) {
    let Some(little) = (match block.first_chunk() {
        Some(b"II*\0") => Some(true),
        Some(b"MM\0*") => Some(false),
        _ => None,
    }) else {
        return;
    };
    let tiff = Tiff { block, little };
    let Some(first) = tiff.u32(4) else { return };
    let mut exif = None;
    tiff.directory(first as usize, &mut |tag, value| match tag {
        IMAGE_DESCRIPTION => found(&latin1_or_utf8(until_zero(value.bytes))),
        EXIF_DIRECTORY => exif = tiff.u32(value.at),
        tag if WINDOWS.contains(&tag) => found(&utf16(value.bytes, true)),
        _ => {}
    });
    // One level down, once: no directory is visited twice.
    if let Some(at) = exif {
        tiff.directory(at as usize, &mut |tag, value| {
            if tag == USER_COMMENT {
                found(&tiff.comment(value.bytes));
            }
        });
    }
}

/// The bytes of a field, and where they begin.
struct Value<'a> {
    bytes: &'a [u8],
    at: usize,
}

struct Tiff<'a> {
    block: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.block.get(at..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.block.get(at..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// Visits the fields of a directory. A field that points outside the block is passed over.
    fn directory(&self, at: usize, visit: &mut dyn FnMut(u16, Value<'a>)) {
        let count = usize::from(self.u16(at).unwrap_or(0)).min(MAX_FIELDS);
        for field in (0..count).map(|i| at + 2 + i * 12) {
            let (Some(tag), Some(kind), Some(count)) =
                (self.u16(field), self.u16(field + 2), self.u32(field + 4))
            else {
                return;
            };
            let unit: usize = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 => 4,
                5 | 10 | 12 => 8,
                _ => continue,
            };
            let Some(length) = unit.checked_mul(count as usize) else { continue };
            // Up to four bytes stand in the field itself.
            let start = if length <= 4 { Some(field + 8) } else { self.u32(field + 8).map(|at| at as usize) };
            let Some(start) = start else { return };
            let Some(bytes) = self.block.get(start..start.saturating_add(length)) else { continue };
            visit(tag, Value { bytes, at: start });
        }
    }

    /// A comment: eight bytes that name its encoding, then the text.
    fn comment(&self, value: &[u8]) -> String {
        match value.split_first_chunk::<8>() {
            Some((b"UNICODE\0", text)) => utf16(text, self.little),
            Some((b"ASCII\0\0\0" | b"\0\0\0\0\0\0\0\0", text)) => latin1_or_utf8(until_zero(text)),
            _ => String::new(),
        }
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn utf16(bytes: &[u8], little: bool) -> String {
    let units = bytes.as_chunks::<2>().0.iter();
    let units = units.map(|&pair| if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) });
    char::decode_utf16(units.take_while(|&unit| unit != 0))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that takes its value as bytes.
    pub(crate) struct Field(u16, u16, Vec<u8>);

    /// A block with these fields in its first directory.
    fn block(fields: &[Field], little: bool) -> Vec<u8> {
        let n16 = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let n32 = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut out = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        out.extend(n32(8));
        out.extend(n16(fields.len() as u16));
        let mut data: Vec<u8> = Vec::new();
        let base = 8 + 2 + fields.len() * 12 + 4;
        for Field(tag, kind, value) in fields {
            out.extend(n16(*tag));
            out.extend(n16(*kind));
            out.extend(n32((value.len() / if *kind == 4 { 4 } else { 1 }) as u32));
            if value.len() <= 4 {
                let mut inline = value.clone();
                inline.resize(4, 0);
                out.extend(inline);
            } else {
                out.extend(n32((base + data.len()) as u32));
                data.extend(value);
            }
        }
        out.extend(n32(0));
        out.extend(data);
        out
    }

    fn texts(block: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        read(block, &mut |text| texts.push(text.to_owned()));
        texts
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn descriptions_are_found_in_both_byte_orders() {
        for little in [true, false] {
            let block = block(
                &[
                    Field(0x010e, 2, b"Caterpillar 950M\0rest".to_vec()),
                    Field(0x010f, 2, b"Apple\0".to_vec()),
                    Field(0x9c9e, 1, wide("wheel loader; Læsser")),
                ],
                little,
            );
            assert_eq!(texts(&block), ["Caterpillar 950M", "wheel loader; Læsser"]);
        }
    }

    #[test]
    fn a_comment_is_read_in_the_encoding_it_names() {
        let tiff = Tiff { block: &[], little: false };
        assert_eq!(tiff.comment(b"ASCII\0\0\0Volvo\0\0"), "Volvo");
        assert_eq!(tiff.comment(b"UNICODE\0\0V\0o"), "Vo");
        assert_eq!(tiff.comment(b"JIS\0\0\0\0\0Volvo"), "");
        assert_eq!(tiff.comment(b"short"), "");
    }

    #[test]
    fn nonsense_yields_nothing_and_ends() {
        assert!(texts(b"").is_empty());
        assert!(texts(b"II*\0\xff\xff\xff\xff").is_empty());
        // A directory that points at itself as its own sub-directory.
        let looped = block(&[Field(0x8769, 4, 8_u32.to_le_bytes().to_vec())], true);
        assert!(texts(&looped).is_empty());
        // A count that would overflow a 32-bit address.
        let mut huge = block(&[Field(0x010e, 2, b"Volvo EC220E".to_vec())], true);
        huge[14..18].copy_from_slice(&[0xff; 4]);
        assert!(texts(&huge).is_empty());
    }

    #[test]
    fn the_sub_directory_holds_the_comment() {
        let mut outer = block(&[Field(0x8769, 4, vec![0; 4])], true);
        let at = outer.len() as u32;
        outer[18..22].copy_from_slice(&at.to_le_bytes());
        let comment = b"ASCII\0\0\0a digger";
        let mut inner = vec![1, 0, 0x86, 0x92, 7, 0];
        inner.extend((comment.len() as u32).to_le_bytes());
        inner.extend((at + 18).to_le_bytes());
        inner.extend([0; 4]);
        inner.extend(comment);
        outer.extend(inner);
        assert_eq!(texts(&outer), ["a digger"]);
    }
}
