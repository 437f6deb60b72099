//! Platform files and manifests: read to a plan, or to mistakes with a place in the file.

use monopod_config::Manifest;

use crate::run::Target;

pub struct Platforms {
    folder: tempfile::TempDir,
}

impl Platforms {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
}

impl Target for Platforms {
    fn seeds(&self) -> Vec<Vec<u8>> {
        // Good and broken ones; each broken one is replayed with its answer by the room's tests.
        let tests = monopod_tests::checkout().join("host/config/tests");
        let mut seeds = Vec::new();
        for folder in ["good", "broken", "broken-manifests"] {
            for entry in std::fs::read_dir(tests.join(folder)).unwrap() {
                let file = entry.unwrap().path();
                if file.extension().is_some_and(|kind| kind == "toml") {
                    seeds.push(std::fs::read(file).unwrap());
                }
            }
        }
        seeds.sort();
        seeds
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let words = [
            "[components.x]\n",
            "[components.x.grants]\n",
            "[components.x.limits]\n",
            "[topics.\"a.b\"]\n",
            "memory = \"64MiB\"\n",
            "deadline = \"10s\"\n",
            "call = [\"y\"]\n",
            "expose = \"/\"\n",
            "\"\"\"",
            "'''",
            "= {",
            "}",
            "[[",
            "]]",
            "\u{feff}",
            "ä",
            "\u{202e}",
            "\0",
            "99999999999999999999",
            "1e999",
            "-0",
            "inf",
            "1979-05-27T07:32:00Z",
            "\\u0000",
            "\r\n",
            "\"",
            "..",
            "/../",
        ];
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        let file = self.folder.path().join("platform.toml");
        std::fs::write(&file, input).unwrap();
        let mistakes = match monopod_config::load(&file) {
            Ok(_) => Vec::new(),
            Err(mistakes) if mistakes.is_empty() => return Err("refused without a mistake".to_owned()),
            Err(mistakes) => mistakes,
        };
        let text = String::from_utf8_lossy(input);
        let lines = text.lines().count() + 1;
        for mistake in &mistakes {
            // What people see must come together, wherever the place is.
            let shown = mistake.to_string();
            if mistake.place.as_ref().is_some_and(|place| place.line > lines) {
                return Err(format!("a place behind the end: {shown}"));
            }
        }
        let manifest = Manifest::parse("component.toml", &text).is_ok();
        let first = mistakes.first().map(|mistake| mistake.message.as_str()).unwrap_or("good");
        let kind: String = first.split('`').step_by(2).flat_map(|part| part.chars().take(40)).collect();
        Ok(format!("{manifest} {} {kind}", mistakes.len().min(8)))
    }
}
