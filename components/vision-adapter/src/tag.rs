//! Fleet tags: `tu:v1:<brand>/<type>/<model>[/<serial>]` in a QR code on the machine.

use crate::evidence::line;
use crate::qr::Code;

/// The longest part of a tag, in characters.
const MAX_PART: usize = 64;

/// What a fleet tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The maker, as written.
    pub brand: String,
    /// What kind of machine, in lower case.
    pub kind: String,
    /// The maker's name for the model.
    pub model: String,
    /// The very machine.
    pub serial: Option<String>,
}

/// The tags in a picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Those that can be read, the largest in the picture first, each once.
    pub read: Vec<Tag>,
    /// Codes that begin like a fleet tag and are none that we know.
    pub unknown: Vec<String>,
}

/// Picks the fleet tags out of the codes in a picture. Anything else (links, tickets, labels of
/// parts) is passed over, unseen: it is nobody's business what else lies in the yard.
pub fn tags(codes: Vec<Code>) -> Tags {
    let mut tags = Tags::default();
    for code in codes {
        match parse(&code.text) {
            Some(tag) if !tags.read.contains(&tag) => tags.read.push(tag),
            None if starts(&code.text, "tu:") => tags.unknown.push(line(&code.text, 60)),
            _ => {}
        }
    }
    tags
}

fn parse(code: &str) -> Option<Tag> {
    // A code in QR's alphanumeric mode has capitals only.
    let code = code.trim();
    let parts = if starts(code, "tu:v1:") { code.get(6..)? } else { return None };
    let mut parts = parts.split('/').map(|part| line(part, MAX_PART));
    let mut part = || parts.next().filter(|part| !part.is_empty() && !part.ends_with('…'));
    let (brand, kind, model) = (part()?, part()?, part()?);
    let serial = match parts.next() {
        Some(serial) if serial.is_empty() || serial.ends_with('…') => return None,
        serial => serial,
    };
    parts.next().is_none().then(|| Tag { brand, kind: kind.to_lowercase(), model, serial })
}

fn starts(code: &str, prefix: &str) -> bool {
    code.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Code { text: text.into(), side: 1.0 }
    }

    #[test]
    fn the_grammar_is_kept_to() {
        let tag = |brand: &str, kind: &str, model: &str, serial: Option<&str>| {
            Some(Tag {
                brand: brand.into(),
                kind: kind.into(),
                model: model.into(),
                serial: serial.map(str::to_owned),
            })
        };
        for (text, expect) in [
            ("tu:v1:Volvo/excavator/EC220E", tag("Volvo", "excavator", "EC220E", None)),
            ("tu:v1:Volvo/excavator/EC220E/SN-1", tag("Volvo", "excavator", "EC220E", Some("SN-1"))),
            ("TU:V1:VOLVO/EXCAVATOR/EC220E", tag("VOLVO", "excavator", "EC220E", None)),
            (
                " tu:v1:Wacker Neuson/mini excavator/ET 90\n",
                tag("Wacker Neuson", "mini excavator", "ET 90", None),
            ),
            ("tu:v1:Bücher/kehrmaschine/Ä1", tag("Bücher", "kehrmaschine", "Ä1", None)),
            ("tu:v1:Volvo/excavator", None),
            ("tu:v1:Volvo/excavator/", None),
            ("tu:v1:/excavator/EC220E", None),
            ("tu:v1:Volvo/excavator/EC220E/", None),
            ("tu:v1:Volvo/excavator/EC220E/1/2", None),
            ("tu:v2:Volvo/excavator/EC220E", None),
            ("https://tu:v1:Volvo/excavator/EC220E", None),
            ("tu:v1", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expect, "{text:?}");
        }
        assert_eq!(parse(&format!("tu:v1:{}/excavator/EC220E", "x".repeat(65))), None);
    }

    #[test]
    fn other_codes_are_passed_over_and_repeated_tags_counted_once() {
        let tags = tags(vec![
            code("tu:v1:Volvo/excavator/EC220E"),
            code("https://example.org/"),
            code("tu:v1:Volvo/excavator/EC220E"),
            code("tu:v9:future"),
        ]);
        assert_eq!(tags.read.len(), 1);
        assert_eq!(tags.unknown, ["tu:v9:future"]);
    }
}
