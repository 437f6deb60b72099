//! IPTC's records, inside a block of Photoshop resources: title, keywords, headline and caption.

use super::latin1_or_utf8;

/// The most resources and records that are visited.
const MAX_PARTS: usize = 256;

/// The resource that holds IPTC's records.
const IPTC: u16 = 0x0404;

/// Record 2's data sets that describe the picture: object name, keywords, headline, caption.
const DESCRIPTIONS: [u8; 4] = [5, 25, 105, 120];

/// Calls `found` with each description in a block.
pub(super) fn read(block: &[u8], found: &mut dyn FnMut(&str)) {
    let mut rest = block;
    for _ in 0..MAX_PARTS {
        let Some((&[b'8', b'B', b'I', b'M', id1, id0, name], behind)) = rest.split_first_chunk::<7>() else {
            return;
        };
        // The name and its length byte are padded to an even number, as is the data.
        let name = usize::from(name);
        let Some((&length, behind)) = behind.get(name + (1 - name % 2)..).and_then(<[u8]>::split_first_chunk)
        else {
            return;
        };
        let length = u32::from_be_bytes(length) as usize;
        let Some(data) = behind.get(..length) else { return };
        if u16::from_be_bytes([id1, id0]) == IPTC {
            records(data, found);
        }
        rest = behind.get(length + length % 2..).unwrap_or_default();
    }
}

fn records(data: &[u8], found: &mut dyn FnMut(&str)) {
    let mut rest = data;
    for _ in 0..MAX_PARTS {
        let Some((&[0x1c, record, set, l1, l0], behind)) = rest.split_first_chunk::<5>() else { return };
        // Lengths of 32 KiB and more are written in another way; no description has them.
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        let Some(value) = behind.get(..length) else { return };
        if record == 2 && DESCRIPTIONS.contains(&set) {
            found(&latin1_or_utf8(value));
        }
        rest = behind.get(length..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(block: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        read(block, &mut |text| texts.push(text.to_owned()));
        texts
    }

    fn record(record: u8, set: u8, value: &str) -> Vec<u8> {
        [&[0x1c, record, set, 0, value.len() as u8], value.as_bytes()].concat()
    }

    fn resource(id: u16, name: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"8BIM".to_vec();
        out.extend(id.to_be_bytes());
        out.push(name.len() as u8);
        out.extend(name.as_bytes());
        if name.len().is_multiple_of(2) {
            out.push(0);
        }
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(data);
        if data.len() % 2 == 1 {
            out.push(0);
        }
        out
    }

    #[test]
    fn descriptions_are_found_among_other_resources() {
        let records =
            [record(1, 90, "\x1b%G"), record(2, 25, "JCB 3CX"), record(2, 80, "a photographer")].concat();
        for name in ["", "odd", "even"] {
            let block = [resource(0x0425, name, b"odd"), resource(IPTC, name, &records)].concat();
            assert_eq!(texts(&block), ["JCB 3CX"], "{name:?}");
        }
    }

    #[test]
    fn nonsense_yields_nothing_and_ends() {
        assert!(texts(b"8BIM\x04\x04").is_empty());
        assert!(texts(b"8BIM\x04\x04\0\0\xff\xff\xff\xff").is_empty());
        assert!(texts(&resource(IPTC, "", &[0x1c, 2, 25, 0xff, 0xff])).is_empty());
    }
}
