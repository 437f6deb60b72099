//! Texts that a photo carries besides its pixels: EXIF, XMP, IPTC, and the named texts of PNG.
//!
//! Only fields in which people describe a picture are read. The camera's own make and model never
//! are: a phone is not the machine in front of it.

mod exif;
mod iptc;
mod xmp;

use crate::evidence::{Kind, line};

/// The largest block that is read, in bytes. JPEG allows 64 KiB in one segment.
pub const MAX_BLOCK: usize = 256 * 1024;

/// The most texts that are kept. A photo describes its machine in the first few, or not at all.
const MAX_TEXTS: usize = 24;

/// The longest text, in characters.
const MAX_TEXT: usize = 400;

/// The most blocks of a kind that are read; a photo has one, a hostile one thousands.
const MAX_BLOCKS: usize = 8;

/// A text, and where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// In which block.
    pub kind: Kind,
    /// What it says, as one line.
    pub text: String,
}

/// The texts of a photo.
#[derive(Debug, Default)]
pub struct Texts {
    found: Vec<Text>,
    blocks: usize,
}

impl Texts {
    /// What was found, in the file's order, without repetitions.
    pub fn found(&self) -> &[Text] {
        &self.found
    }

    /// Reads an EXIF block: a TIFF structure.
    pub fn exif(&mut self, block: &[u8]) {
        if self.admits(block) {
            exif::read(block, &mut |text| self.keep(Kind::Exif, text));
        }
    }

    /// Reads an XMP block: XML.
    pub fn xmp(&mut self, block: &[u8]) {
        if self.admits(block) {
            xmp::read(block, &mut |text| self.keep(Kind::Xmp, text));
        }
    }

    /// Reads a block of Photoshop resources, one of which is IPTC's.
    pub fn photoshop(&mut self, block: &[u8]) {
        if self.admits(block) {
            iptc::read(block, &mut |text| self.keep(Kind::Iptc, text));
        }
    }

    /// Keeps a named text of a PNG file, if its name says that it describes the picture.
    pub fn named(&mut self, name: &[u8], text: &[u8]) {
        const NAMES: [&[u8]; 5] = [b"title", b"description", b"comment", b"subject", b"keywords"];
        if NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)) && self.admits(text) {
            self.keep(Kind::Text, &latin1_or_utf8(text));
        }
    }

    fn admits(&mut self, block: &[u8]) -> bool {
        self.blocks += 1;
        block.len() <= MAX_BLOCK && self.blocks <= MAX_BLOCKS
    }

    fn keep(&mut self, kind: Kind, text: &str) {
        let text = Text { kind, text: line(text, MAX_TEXT) };
        if !text.text.is_empty() && self.found.len() < MAX_TEXTS && !self.found.contains(&text) {
            self.found.push(text);
        }
    }
}

/// Text whose encoding nobody declares: UTF-8 if it is that, ISO 8859-1 otherwise.
fn latin1_or_utf8(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_descriptions_are_kept_and_each_once() {
        let mut texts = Texts::default();
        texts.named(b"Description", b"a loader");
        texts.named(b"description", b"a loader");
        texts.named(b"Software", b"a camera");
        assert_eq!(texts.found(), [Text { kind: Kind::Text, text: "a loader".into() }]);
    }

    #[test]
    fn blocks_texts_and_lengths_are_bounded() {
        let mut texts = Texts::default();
        for i in 0..1_000 {
            texts.named(b"comment", format!("{i} {}", "x".repeat(1_000)).as_bytes());
        }
        assert_eq!(texts.found().len(), MAX_BLOCKS);
        assert!(texts.found().iter().all(|text| text.text.chars().count() <= MAX_TEXT + 1));
        let mut texts = Texts::default();
        texts.exif(&vec![0; MAX_BLOCK + 1]);
        assert!(texts.found().is_empty());
    }

    #[test]
    fn undeclared_text_is_utf8_or_latin1() {
        assert_eq!(latin1_or_utf8("Læssemaskine".as_bytes()), "Læssemaskine");
        assert_eq!(latin1_or_utf8(b"L\xe6ssemaskine"), "Læssemaskine");
    }
}
