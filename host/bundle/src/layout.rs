//! The JSON documents of an OCI image layout, as we write and read them. Fields are in
//! the order of the specification, so that the same bundle has the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The media type of the component's layer, and of nothing else.
pub const WASM_LAYER: &str = "application/wasm";
/// The media type of `component.toml`.
pub const MANIFEST_LAYER: &str = "application/vnd.monopod.component.v0+toml";
/// The media type of `schema.graphql`.
pub const SCHEMA_LAYER: &str = "application/vnd.monopod.schema.v0+graphql";
/// The config's media type: what makes it a Wasm artifact for other tools.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// What makes it one of our bundles.
pub const ARTIFACT_TYPE: &str = "application/vnd.monopod.bundle.v0";
/// The annotation that holds a layer's file name.
pub const ANNOTATION_TITLE: &str = "org.opencontainers.image.title";

pub(crate) const ANNOTATION_VERSION: &str = "org.opencontainers.image.version";
pub(crate) const ANNOTATION_DESCRIPTION: &str = "org.opencontainers.image.description";
pub(crate) const ANNOTATION_REF: &str = "org.opencontainers.image.ref.name";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The file that marks a folder as an image layout.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// The file that says which manifests a layout has.
pub(crate) const INDEX_FILE: &str = "index.json";
/// The folder of the blobs, below the layout.
pub(crate) const BLOBS: &str = "blobs/sha256";
/// The layout version of image-spec 1.1.
pub(crate) const LAYOUT_VERSION: &str = "1.0.0";

/// `oci-layout`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    pub(crate) image_layout_version: String,
}

/// `index.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) manifests: Vec<Descriptor>,
}

/// An image manifest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Points to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// What kind of artifact a manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// `sha256:` and 64 lower-case hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The 64 digits, if the digest is a SHA-256 that is well-formed. Nothing else can
    /// name a file, so that no digest leads out of the folder.
    pub(crate) fn digits(&self) -> Option<&str> {
        let digits = self.digest.strip_prefix("sha256:")?;
        let good = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (digits.len() == 64 && digits.bytes().all(good)).then_some(digits)
    }
}

/// The config blob, as the CNCF's guidance has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    pub(crate) created: String,
    pub(crate) architecture: String,
    pub(crate) os: String,
    pub(crate) layer_digests: Vec<String>,
    pub(crate) component: Interface,
}

/// What a component imports and exports, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) exports: Vec<String>,
    pub(crate) imports: Vec<String>,
}

/// What this room needs of a `component.toml`. `config` reads all of it.
#[derive(Debug, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

impl About {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|why| why.message().to_owned())
    }
}
