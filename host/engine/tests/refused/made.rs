//! Components made for a test: as text, or section by section where text would not let them be
//! as wrong as they are to be.

use std::io::Write;

use monopod_core::component::{Component, Grants, Limits};
use monopod_engine::Refusal;
use tempfile::NamedTempFile;

/// What every component begins with.
pub const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
/// What every core module begins with.
pub const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A number as the format has it.
pub fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

pub fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], number(content.len()).as_slice(), content].concat()
}

/// A section that lists `count` times the same thing.
pub fn list(id: u8, count: usize, item: &[u8]) -> Vec<u8> {
    section(id, &[number(count), item.repeat(count)].concat())
}

/// A component with the given sections.
pub fn component(sections: &[u8]) -> Vec<u8> {
    [HEADER, sections].concat()
}

/// A component with one core module with the given sections.
pub fn around(sections: &[u8]) -> Vec<u8> {
    component(&section(1, &[MODULE, sections].concat()))
}

/// A component in a component, and so on.
pub fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(component(&[]), |inner, _| component(&section(4, &inner)))
}

pub fn text(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// A component named `x` of these bytes, with nothing granted.
pub fn planned(wasm: &[u8], file: &mut NamedTempFile) -> Component {
    file.write_all(wasm).unwrap();
    file.flush().unwrap();
    Component {
        name: "x".parse().unwrap(),
        version: "0.1.0".into(),
        wasm: file.path().to_owned(),
        digest: "sha256:unseen".into(),
        schema: None,
        settings: Default::default(),
        grants: Grants::default(),
        limits: Limits::default(),
        instances: Default::default(),
    }
}

/// What is held against these bytes.
pub fn check(wasm: &[u8]) -> Option<Refusal> {
    let mut file = NamedTempFile::new().unwrap();
    let component = planned(wasm, &mut file);
    monopod_engine::check(&[component]).into_iter().next()
}
