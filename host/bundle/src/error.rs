//! Why a bundle could not be made or opened: which file, what was expected, what was
//! found, and what to do.

use std::path::{Path, PathBuf};

use monopod_core::diagnostic::Diagnostic;

/// Why not. The `Display` names the file and what is wrong; [`Error::help`] the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing where the bundle, or a part of it, should be.
    #[error("{}: there is no {what} here", file.display())]
    Missing {
        /// Which file or folder.
        file: PathBuf,
        /// What should be there.
        what: &'static str,
    },
    /// A part is not what its digest says.
    #[error("{}: damaged: expected {expected}, found {found}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// It is whole, but not one of our bundles.
    #[error("{}: not a bundle of this platform: expected {expected}, found {found}", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A part is larger than any of its kind may be.
    #[error("{}: too large: {found} bytes, at most {max} are taken", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// Bytes found or announced.
        found: u64,
        /// The most bytes.
        max: u64,
    },
    /// What a bundle is to be made of is not fit for it.
    #[error("{}: {why}", file.display())]
    Unfit {
        /// Which file.
        file: PathBuf,
        /// Why.
        why: String,
        /// What would be right.
        help: &'static str,
    },
    /// The operating system refused.
    #[error("{}: cannot be {doing}", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What was tried: `read`, `written`, …
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// The fix for everything that went wrong with a bundle after it was made.
const AGAIN: &str = "build it again: `make run`, or `monopod bundle`";

impl Error {
    /// The file it is about.
    pub fn file(&self) -> &Path {
        match self {
            Self::Missing { file, .. }
            | Self::Damaged { file, .. }
            | Self::Foreign { file, .. }
            | Self::TooLarge { file, .. }
            | Self::Unfit { file, .. }
            | Self::Io { file, .. } => file,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Damaged { .. } | Self::Foreign { .. } => AGAIN,
            Self::TooLarge { .. } => "make it smaller: leave out debug information, and keep data in blobs",
            Self::Unfit { help, .. } => help,
            Self::Io { .. } => "look at its permissions and at the free space of the disk",
        }
    }

    /// As the mistakes in people's files are shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let file = self.file().display().to_string();
        let text = self.to_string();
        let mut message = text.strip_prefix(&format!("{file}: ")).unwrap_or(&text).to_owned();
        if let Self::Io { source, .. } = self {
            message = format!("{message}: {source}");
        }
        Diagnostic { file, place: None, message, help: Some(self.help().to_owned()) }
    }
}
