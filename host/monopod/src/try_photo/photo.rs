//! The photo to send: read, measured, and known by its first bytes.

use std::path::Path;

use bytes::Bytes;
use monopod_core::size::Size;
use sha2::{Digest, Sha256};

use super::Trouble;

/// The largest photo the platform takes.
const MAX_PHOTO: u64 = 10 << 20;

/// The kinds it takes: content type, extensions.
const KINDS: [(&str, &[&str]); 3] =
    [("image/jpeg", &["jpg", "jpeg"]), ("image/png", &["png"]), ("image/webp", &["webp"])];

/// A photo, ready to be sent.
#[derive(Debug)]
pub(super) struct Photo {
    /// As the user named it.
    pub(super) path: String,
    /// Its name alone.
    pub(super) filename: String,
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
    /// `sha256:<64 hex>`.
    pub(super) checksum: String,
}

impl Photo {
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Reads a photo.
    pub(super) fn read(path: &Path) -> Result<Self, Trouble> {
        let shown = path.display();
        let unreadable = |why: std::io::Error| match why.kind() {
            std::io::ErrorKind::NotFound => {
                Trouble::new(format!("{shown}: there is no such file"), "name a photo: JPEG, PNG or WebP")
            }
            _ => Trouble::new(format!("{shown}: cannot be read: {why}"), "look at its permissions"),
        };
        let found = std::fs::metadata(path).map_err(unreadable)?;
        if !found.is_file() {
            return Err(Trouble::new(
                format!("{shown}: this is not a file"),
                "name a photo: JPEG, PNG or WebP",
            ));
        }
        if found.len() > MAX_PHOTO {
            let (size, most) = (Size::bytes(found.len()), Size::bytes(MAX_PHOTO));
            let help = format!("make it smaller: at most {most} are taken");
            return Err(Trouble::new(format!("{shown}: the photo has {size}"), help));
        }
        let bytes = Bytes::from(std::fs::read(path).map_err(unreadable)?);
        if bytes.is_empty() {
            return Err(Trouble::new(
                format!("{shown}: the file is empty"),
                "name a photo: JPEG, PNG or WebP",
            ));
        }
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let Some(content_type) = by_content(&bytes).or_else(|| by_name(extension)) else {
            return Err(Trouble::new(
                format!("{shown}: this is neither JPEG, PNG nor WebP"),
                "convert it, or name another photo",
            ));
        };
        Ok(Self {
            path: shown.to_string(),
            filename: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            content_type,
            checksum: format!("sha256:{}", hex::encode(Sha256::digest(&bytes))),
            bytes,
        })
    }
}

/// What the first bytes say. They know better than a name.
fn by_content(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return Some("image/jpeg");
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")).then_some("image/webp")
}

/// What the name says: a damaged photo should still reach whoever can say so.
fn by_name(extension: &str) -> Option<&'static str> {
    let extension = extension.to_ascii_lowercase();
    KINDS.iter().find(|(_, names)| names.contains(&extension.as_str())).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_known_by_its_first_bytes_and_else_by_its_name() {
        for (name, bytes, kind) in [
            ("a.jpg", &b"\xff\xd8\xff\xe0...."[..], Some("image/jpeg")),
            ("a.txt", b"\x89PNG\r\n\x1a\n....", Some("image/png")),
            ("a.png", b"RIFF\x04\0\0\0WEBPVP8 ", Some("image/webp")),
            ("damaged.JPEG", b"nonsense", Some("image/jpeg")),
            ("a.gif", b"GIF89a", None),
            ("a", b"RIFF", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let photo = Photo::read(&path);
            assert_eq!(photo.as_ref().ok().map(|p| p.content_type), kind, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.jpg");
        std::fs::File::create(&large).unwrap().set_len(MAX_PHOTO + 1).unwrap();
        let empty = folder.path().join("empty.jpg");
        std::fs::write(&empty, "").unwrap();
        for (path, says) in [
            (folder.path().join("none.jpg"), "no such file"),
            (folder.path().to_owned(), "not a file"),
            (large, "the photo has"),
            (empty, "empty"),
        ] {
            assert!(Photo::read(&path).is_err_and(|t| t.what.contains(says) && !t.fix.is_empty()), "{says}");
        }
    }
}
