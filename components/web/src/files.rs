//! The files of the page, compiled in.

/// A file.
pub struct File {
    /// The path it is served at.
    pub path: &'static str,
    /// Its type.
    pub content_type: &'static str,
    /// What it holds.
    pub content: &'static [u8],
    /// Changes when the content does.
    pub digest: u64,
}

macro_rules! file {
    ($path:literal, $content_type:literal, $name:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            content: include_bytes!(concat!("../page/", $name)),
            digest: const { digest(include_bytes!(concat!("../page/", $name))) },
        }
    };
}

/// All of them.
pub static FILES: &[File] = &[
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!("/index.html", "text/html; charset=utf-8", "index.html"),
    file!("/app.css", "text/css; charset=utf-8", "app.css"),
    file!("/app.js", "text/javascript; charset=utf-8", "app.js"),
    file!("/analysis.js", "text/javascript; charset=utf-8", "analysis.js"),
    file!("/dom.js", "text/javascript; charset=utf-8", "dom.js"),
    file!("/graphql.js", "text/javascript; charset=utf-8", "graphql.js"),
    file!("/history.js", "text/javascript; charset=utf-8", "history.js"),
    file!("/result.js", "text/javascript; charset=utf-8", "result.js"),
    file!("/session.js", "text/javascript; charset=utf-8", "session.js"),
    file!("/steps.js", "text/javascript; charset=utf-8", "steps.js"),
    file!("/words.js", "text/javascript; charset=utf-8", "words.js"),
    file!("/icon.svg", "image/svg+xml", "icon.svg"),
];

/// What is shown where there is nothing.
pub const NOT_FOUND: &[u8] = include_bytes!("../page/not-found.html");

/// The file at a path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// FNV-1a: tells versions of a file apart, and can be computed while compiling.
const fn digest(mut bytes: &[u8]) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    while let [first, rest @ ..] = bytes {
        digest = (digest ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        bytes = rest;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_served_once_each() {
        let mut paths: Vec<_> = FILES.iter().map(|file| file.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), FILES.len());
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
