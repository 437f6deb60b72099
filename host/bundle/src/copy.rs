//! Copying a bundle to another folder, for whoever has to have it there: it is verified before
//! it is copied and again where it arrived, so that a copy is as good as the bundle.

use std::path::Path;

use crate::build::prepare;
use crate::file::{beside, io};
use crate::layout::{BLOBS, INDEX_FILE, LAYOUT_FILE};
use crate::open::parts;
use crate::{Bundle, Error, open};

/// Copies the bundle in the folder `from` into the folder `to`: made if it is not there, refused
/// if it holds something else, replaced if it holds a bundle. Only what the bundle names is
/// copied; whatever else lies in `from` stays there. Blocks for as long as the disk takes.
pub fn copy(from: &Path, to: &Path) -> Result<Bundle, Error> {
    let (_, blobs) = parts(from)?;
    prepare(to)?;
    // As when it is made: the index last, so that nobody finds half a bundle.
    let blobs = blobs.iter().map(|digits| format!("{BLOBS}/{digits}"));
    for part in blobs.chain([LAYOUT_FILE.to_owned(), INDEX_FILE.to_owned()]) {
        let target = to.join(&part);
        let beside = beside(&target);
        std::fs::copy(from.join(&part), &beside).map_err(io(&beside, "written"))?;
        std::fs::rename(&beside, &target).map_err(io(&target, "put in place"))?;
    }
    open(to)
}
