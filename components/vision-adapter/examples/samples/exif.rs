//! A small EXIF block: a TIFF structure, little-endian, with the two texts people write.

/// A block with an image description and Windows' keywords.
pub fn block(description: &str, keywords: &str) -> Vec<u8> {
    let ascii: Vec<u8> = description.bytes().chain([0]).collect();
    let wide: Vec<u8> = keywords.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    // Tag, type (2 is text, 1 bytes), value.
    let fields = [(0x010e_u16, 2_u16, ascii), (0x9c9e, 1, wide)];
    let mut block = b"II*\0\x08\0\0\0".to_vec();
    block.extend((fields.len() as u16).to_le_bytes());
    let mut at = block.len() + fields.len() * 12 + 4;
    let mut values = Vec::new();
    for (tag, kind, value) in fields {
        block.extend(tag.to_le_bytes());
        block.extend(kind.to_le_bytes());
        block.extend((value.len() as u32).to_le_bytes());
        block.extend((at as u32).to_le_bytes());
        at += value.len();
        values.extend(value);
    }
    block.extend([0; 4]);
    block.extend(values);
    block
}
