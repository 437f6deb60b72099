//! The vision adapter: looks at a photo, offline and inside its sandbox, and says which machine it
//! shows and by what evidence.
//!
//! The orchestrator commands it with a message on `analysis.recognition.request`; it answers with
//! `tu.recognition.completed` or `recognition.failed`. A photo comes from a stranger: everything
//! in this crate treats it as an attack. Sizes are checked before memory is taken, searches are
//! bounded, and no byte of a photo may make it panic.
//!
//! It must not reach for the network, and it must not guess: what it says rests on evidence that
//! it names. [`recognise`] is the whole of it without a platform; [`handle`] puts it to work on one.

mod catalogue;
mod decode;
mod evidence;
#[cfg(target_arch = "wasm32")]
mod guest;
mod handler;
mod livery;
mod metadata;
mod picture;
mod qr;
mod tag;
mod text;
mod verdict;

pub use decode::{MAX_BYTES, MAX_PIXELS, Refusal};
pub use evidence::{Evidence, Kind};
pub use handler::handle;
pub use verdict::Verdict;

/// Looks at a photo: JPEG, PNG or WebP, told apart by its first bytes.
///
/// A photo without evidence is a [`Verdict`] that is not confident; one that cannot be decoded
/// is a [`Refusal`].
pub fn recognise(photo: &[u8]) -> Result<Verdict, Refusal> {
    let decode::Decoded { picture, texts } = decode::decode(photo)?;
    let tags = tag::tags(qr::find(&picture));
    let livery = livery::measure(&picture);
    Ok(verdict::weigh(&tags, &texts, livery.as_ref()))
}
