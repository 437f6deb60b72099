//! Photos and their upload.

use serde::{Deserialize, Serialize};

/// The largest photo, in bytes: 10 MiB.
pub const MAX_IMAGE_BYTES: u64 = 10 << 20;

/// A kind of photo that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageType {
    /// Its content type.
    pub content_type: &'static str,
    /// Its file name extensions, without the dot; the first is used in keys.
    pub extensions: &'static [&'static str],
}

impl ImageType {
    /// The kind with this content type.
    pub fn of(content_type: &str) -> Option<&'static Self> {
        IMAGE_TYPES.iter().find(|kind| kind.content_type == content_type)
    }
}

/// All kinds that are taken.
pub const IMAGE_TYPES: &[ImageType] = &[
    ImageType { content_type: "image/jpeg", extensions: &["jpg", "jpeg"] },
    ImageType { content_type: "image/png", extensions: &["png"] },
    ImageType { content_type: "image/webp", extensions: &["webp"] },
];

/// On `tu.images.uploaded`: a photo was uploaded and confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageUploaded {
    /// Names the upload.
    pub upload_id: String,
    /// Where the photo lies.
    pub object_key: String,
    /// Its content type.
    pub content_type: String,
    /// Its size.
    pub bytes: u64,
    /// `sha256:<64 hex>`.
    pub checksum: String,
    /// When it was confirmed, RFC 3339.
    pub occurred_at: String,
}
