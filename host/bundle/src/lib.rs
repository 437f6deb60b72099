//! Bundles: a component with its manifest and schema, as an OCI image layout on disk
//! (image-spec 1.1; the component as the CNCF's Wasm artifact guidance has it), where
//! everything is addressed by digest.
//!
//! Called by the build step, which makes them, and by the binary, which opens those of
//! the platform file before anything starts. A bundle is believed only as far as its
//! digests hold: a part that is damaged, cut short, missing or of another kind is
//! refused, and nothing outside the bundle's folder is ever read. Neither the
//! manifest's content nor the code is judged here: that is `config`'s and `engine`'s.

mod build;
mod copy;
mod error;
mod file;
mod interface;
mod layout;
mod open;

pub use build::{Built, build};
pub use copy::copy;
pub use error::Error;
pub use layout::{
    ANNOTATION_TITLE, ARTIFACT_TYPE, CONFIG_TYPE, Descriptor, MANIFEST_LAYER, SCHEMA_LAYER, WASM_LAYER,
};
pub use open::{Bundle, open};

/// The largest component, in bytes. A Python component with its interpreter has 40 MB.
pub const MAX_WASM: u64 = 128 << 20;
/// The largest `component.toml` and `schema.graphql`, in bytes: people write them.
pub const MAX_TEXT: u64 = 1 << 20;
/// The largest JSON document of a layout, in bytes: ours have less than 4 KB.
pub const MAX_DOCUMENT: u64 = 256 << 10;
/// The most layers of a manifest: three are ours, others may be added to a bundle by
/// other tools and are verified but not used.
pub const MAX_LAYERS: usize = 32;
