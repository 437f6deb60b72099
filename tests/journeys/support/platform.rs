//! Trackunit's platform file, as it is or with changes.

use std::path::{Path, PathBuf};

/// A platform file.
#[derive(Debug, Clone)]
pub struct Platform(String);

impl Platform {
    /// The one of the repository.
    pub fn trackunit() -> Self {
        let file = monopod_tests::checkout().join("components/trackunit.toml");
        Self(std::fs::read_to_string(file).unwrap())
    }

    /// With this piece in another's place. It must be there once, so that a change of the file
    /// cannot make a test of something else.
    pub fn with(self, piece: &str, other: &str) -> Self {
        assert_eq!(self.0.matches(piece).count(), 1, "not once in the platform file: {piece}");
        Self(self.0.replace(piece, other))
    }

    /// With more at the begin of a component's section.
    pub fn component(self, name: &str, more: &str) -> Self {
        let heading = format!("[components.{name}]\n");
        self.with(&heading, &format!("{heading}{more}\n"))
    }

    /// Without this component.
    pub fn without(self, name: &str) -> Self {
        let mut within = false;
        let lines = self.0.lines().filter(|line| {
            if line.starts_with('[') {
                let section = line.trim_matches(['[', ']']);
                within = section == format!("components.{name}")
                    || section.starts_with(&format!("components.{name}."));
            }
            !within
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(text.len() < self.0.len(), "there is no component {name}");
        Self(text)
    }

    /// Writes it to a folder.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("platform.toml");
        std::fs::write(&file, &self.0).unwrap();
        file
    }
}
