//! What a component imports and exports: the names only, as the config blob lists them.

use wasmparser::{Encoding, Parser, Payload};

use crate::layout::Interface;

/// Reads the outermost component's imports and exports, or says why `wasm` is none.
/// The code is not validated: the engine does that.
pub(crate) fn read(wasm: &[u8]) -> Result<Interface, String> {
    let broken = |why: wasmparser::BinaryReaderError| format!("not WebAssembly: {why}");
    let mut interface = Interface::default();
    // Nested components and modules have sections of their own, which are not meant.
    let mut depth = 0_usize;
    let mut component = false;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(broken)? {
            Payload::Version { encoding, .. } if depth == 0 => {
                component = encoding == Encoding::Component;
                if !component {
                    return Err("this is a core module, not a component".to_owned());
                }
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    interface.imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    interface.exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    if !component {
        return Err("not WebAssembly: the file is empty".to_owned());
    }
    interface.imports.sort_unstable();
    interface.exports.sort_unstable();
    Ok(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_component_is_told_apart() {
        let component = b"\0asm\x0d\0\x01\0";
        assert_eq!(read(component), Ok(Interface::default()));
        let module = b"\0asm\x01\0\0\0";
        assert!(read(module).is_err_and(|why| why.contains("core module")));
        for bad in [&b""[..], b"#!/bin/sh", b"\0asm", b"\0asm\x0d\0\x01\0\x0a\xff"] {
            assert!(read(bad).is_err_and(|why| why.contains("not WebAssembly")), "{bad:?}");
        }
    }
}
