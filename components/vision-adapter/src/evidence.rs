//! What a finding rests on, in words for people and for the answer.

/// Where evidence comes from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A fleet tag in the picture, read from its QR code.
    FleetTag,
    /// The camera's own block of texts.
    Exif,
    /// The block that photo software writes.
    Xmp,
    /// The block that picture agencies write.
    Iptc,
    /// A named text of a PNG file.
    Text,
    /// The machine's colours.
    Livery,
}

impl Kind {
    /// As answers have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FleetTag => "fleet-tag",
            Self::Exif => "exif",
            Self::Xmp => "xmp",
            Self::Iptc => "iptc",
            Self::Text => "text",
            Self::Livery => "livery",
        }
    }
}

/// One thing that speaks for a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it comes from.
    pub kind: Kind,
    /// What it says: one line, at most 200 characters.
    pub text: String,
}

impl Evidence {
    /// Evidence with a text cut to one line of 200 characters.
    pub fn new(kind: Kind, text: &str) -> Self {
        Self { kind, text: line(text, 200) }
    }
}

/// A stranger's text as one line of at most `limit` characters: spaces are joined, control
/// characters and those that turn the direction of writing (which can make a text look like
/// another one) left out.
pub fn line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let kept = text.chars().take(limit.saturating_mul(4)).filter(|c| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        !turns && (!c.is_control() || c.is_whitespace())
    });
    let kept: String = kept.collect();
    for word in kept.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(limit) {
        Some((end, _)) => {
            line.truncate(end);
            line.push('…');
            line
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_becomes_one_plain_line() {
        assert_eq!(line(" a\n\tb\u{0} \u{202e}c ", 10), "a b c");
        assert_eq!(line("äöü äöü", 3), "äöü…");
        assert_eq!(line("", 3), "");
    }
}
