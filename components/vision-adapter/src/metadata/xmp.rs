//! XMP: XML with the texts of photo software. Elements are known by their local names, whatever
//! their prefix; entities other than XML's own five are left out, so nothing can be expanded.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Properties that describe the picture, as elements or attributes.
const DESCRIPTIONS: [&[u8]; 6] = [b"title", b"description", b"subject", b"Headline", b"Caption", b"Keywords"];

/// The most pieces of XML that are visited; photo software writes some hundred.
const MAX_EVENTS: usize = 20_000;

/// The longest text that is put together, in bytes.
const MAX_TEXT: usize = 4_096;

/// Calls `found` with each description in a block.
pub(super) fn read(block: &[u8], found: &mut dyn FnMut(&str)) {
    let block = String::from_utf8_lossy(block);
    let mut reader = Reader::from_str(&block);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    // How many elements deep the reader is inside a description; 0 is outside.
    let mut depth = 0_u32;
    let mut text = String::new();
    for _ in 0..MAX_EVENTS {
        // What came before a fault is kept.
        let Ok(event) = reader.read_event() else { return };
        match event {
            Event::Start(start) => {
                attributes(&start, found);
                if depth > 0 || DESCRIPTIONS.contains(&start.local_name().as_ref()) {
                    depth += 1;
                }
            }
            Event::Empty(start) => attributes(&start, found),
            // Each item of a list (`rdf:li`) is a text of its own.
            Event::End(_) if depth > 0 => {
                depth -= 1;
                found(&std::mem::take(&mut text));
            }
            Event::Text(part) if depth > 0 && text.len() < MAX_TEXT => {
                text.push_str(&part.decode().unwrap_or_default());
            }
            Event::GeneralRef(entity) if depth > 0 => {
                if let Ok(Some(character)) = entity.resolve_char_ref() {
                    text.push(character);
                } else if let Some(known) =
                    entity.decode().ok().and_then(|name| quick_xml::escape::resolve_xml_entity(&name))
                {
                    text.push_str(known);
                }
            }
            Event::Eof => return,
            _ => {}
        }
    }
}

/// Simple properties may stand as attributes of `rdf:Description`.
fn attributes(start: &quick_xml::events::BytesStart<'_>, found: &mut dyn FnMut(&str)) {
    for attribute in start.attributes().with_checks(false).take(MAX_EVENTS).flatten() {
        if DESCRIPTIONS.contains(&attribute.key.local_name().as_ref()) {
            found(&String::from_utf8_lossy(&attribute.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(block: &str) -> Vec<String> {
        let mut texts = Vec::new();
        read(block.as_bytes(), &mut |text| {
            if !text.trim().is_empty() {
                texts.push(text.trim().to_owned());
            }
        });
        texts
    }

    #[test]
    fn lists_attributes_and_plain_elements_are_found() {
        let block = r#"<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>
            <rdf:Description photoshop:Headline="Komatsu PC210" tiff:Model="a camera">
              <dc:subject><rdf:Bag><rdf:li>excavator</rdf:li><rdf:li>K&#228;lin &amp; co</rdf:li></rdf:Bag></dc:subject>
              <dc:creator><rdf:Seq><rdf:li>somebody</rdf:li></rdf:Seq></dc:creator>
              <dc:description>plain</dc:description>
            </rdf:Description></rdf:RDF></x:xmpmeta>"#;
        assert_eq!(texts(block), ["Komatsu PC210", "excavator", "Kälin & co", "plain"]);
    }

    #[test]
    fn an_entity_bomb_expands_to_nothing() {
        let block =
            r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><dc:title>x&b;y</dc:title>"#;
        assert_eq!(texts(block), ["xy"]);
    }

    #[test]
    fn broken_xml_keeps_what_came_before() {
        assert_eq!(texts("<dc:title>Volvo</dc:title><dc:subject"), ["Volvo"]);
        assert!(texts("<<<<>>>>&&&").is_empty());
        assert!(texts(&"<dc:title>".repeat(50_000)).is_empty());
    }
}
