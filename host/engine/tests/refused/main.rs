//! Components that are refused before anything is compiled: each by name, with what is wrong and
//! what to do, in time and memory that its size bounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod made;
mod seeds;

use std::time::{Duration, Instant};

use made::{HEADER, around, check, component, list, nested, number, section, text};
use tempfile::NamedTempFile;

/// Looking takes milliseconds; on a machine that is busy with everything else, this.
const BOUND: Duration = Duration::from_secs(30);

/// Refused, within the bound, with these words.
fn refused(what: &str, wasm: &[u8], words: &[&str]) {
    let began = Instant::now();
    let Some(refusal) = check(wasm) else { panic!("{what} is not refused") };
    assert!(began.elapsed() < BOUND, "{what} took {:?}", began.elapsed());
    let said = refusal.to_string();
    for word in words.iter().chain(&["component `x` cannot be loaded", "\n  fix: "]) {
        assert!(said.contains(word), "{what}: no {word:?} in: {said}");
    }
}

#[test]
fn what_is_no_component_is_refused_and_told_apart() {
    for (what, wasm, words) in [
        ("nothing", &b""[..], &["not WebAssembly"][..]),
        ("text", b"#!/bin/sh\nexit 0\n", &["not WebAssembly"]),
        ("a head cut short", b"\0asm\x0d", &["not WebAssembly"]),
        ("a core module", b"\0asm\x01\0\0\0", &["core module", "wasm32-wasip2"]),
        ("a component of the future", b"\0asm\x0e\0\x01\0", &["version 14", "no host offers"]),
        ("a section cut short", b"\0asm\x0d\0\x01\0\x0a\xff", &["truncated or damaged"]),
        ("a section that is not known", b"\0asm\x0d\0\x01\0\x7f\x01\0", &["kind 127"]),
    ] {
        refused(what, wasm, words);
    }
}

#[test]
fn what_is_too_large_is_refused_by_the_name_of_its_bound() {
    // The empty function type; a function of it; a body of it.
    let types = list(1, 1, &[0x60, 0, 0]);
    let long = [vec![0], vec![0x01; 2 << 20], vec![0x0b]].concat();
    let code = |body: &[u8]| section(10, &[number(1), number(body.len()), body.to_vec()].concat());
    let zeros = vec![0; 100 << 20];
    let data = section(11, &[number(1), vec![1], number(zeros.len()), zeros].concat());
    let module = section(1, made::MODULE);
    for (what, wasm, words) in [
        ("a hundred megabytes of data", around(&data), "its data"),
        (
            "a long function",
            around(&[types.clone(), list(3, 1, &[0]), code(&long)].concat()),
            "its functions",
        ),
        ("a thousand components in one another", nested(1_000), "nested"),
        ("nine components in one another", nested(9), "nested"),
        (
            "a thousand components side by side",
            component(&section(4, HEADER).repeat(1_000)),
            "components inside",
        ),
        ("a thousand modules", component(&module.repeat(1_000)), "modules"),
        ("very many functions", around(&[types, list(3, 300_000, &[0])].concat()), "number of its functions"),
        ("very many types", around(&list(1, 200_000, &[0x60, 0, 0])), "number of its types"),
        ("very many imports", around(&list(2, 30_000, &[0, 0, 3, 0x7f, 0])), "number of its imports"),
        ("very many exports", around(&list(7, 60_000, &[0, 3, 0])), "number of its exports"),
        ("very many globals", around(&list(6, 600_000, &[0x7f, 0, 0x41, 0, 0x0b])), "globals"),
        ("many memories", around(&list(5, 20, &[0, 1])), "memories"),
        ("many tables", around(&list(4, 100, &[0x70, 0, 1])), "tables"),
    ] {
        refused(what, &wasm, &[words, "over the limit"]);
    }
    // A count that is a lie costs nothing either.
    refused("a lie", &around(&section(3, &number(u32::MAX as usize))), &["over the limit"]);
    // Eight deep is what composition may need.
    assert_eq!(check(&nested(8)), None);
}

#[test]
fn a_file_that_is_too_large_is_not_even_read() {
    let mut file = NamedTempFile::new().unwrap();
    let planned = made::planned(HEADER, &mut file);
    file.as_file().set_len((128 << 20) + 1).unwrap();
    let refusals = monopod_engine::check(&[planned]);
    assert!(refusals[0].to_string().contains("its file is over the limit"), "{}", refusals[0]);
}

#[test]
fn memory_that_begins_over_the_limit_is_refused_with_the_line_that_allows_it() {
    let wasm = text("(component (core module (memory 1600)))");
    refused("100 MiB", &wasm, &["100 MiB", "64 MiB", r#"[components.x.limits] memory = "128MiB""#]);
}

#[test]
fn imports_that_nobody_offers_are_all_named() {
    let instance = "(instance)";
    let names = [
        "wasi:nn/tensor@0.2.0-rc-2024-10-28",
        "wasi:gpio/gpio@0.2.0",
        "wasi:http/types@0.4.0",
        "wasi:http/types@0.2.0-rc-2023-11-10",
        "wasi:http/types@0.20.1",
        "wasi:cli/ticker@0.2.0",
        "monopod:state/buckets@0.2.0",
        "acme:own/thing",
    ];
    let imports: String = names.iter().map(|name| format!("(import \"{name}\" {instance})")).collect();
    let refusal = check(&text(&format!("(component {imports} (import \"plain\" (func)))"))).unwrap();
    assert_eq!(refusal.problems.len(), names.len() + 1, "{refusal}");
    for (name, problem) in names.iter().zip(&refusal.problems) {
        assert!(problem.what.contains(&format!("`{name}`")), "{problem:?}");
        assert!(problem.what.contains("no host offers this"), "{problem:?}");
    }
    let said = refusal.to_string();
    assert!(said.contains("build it for wasi:http 0.2 or 0.3"), "{said}");
    assert!(said.contains("without this interface of `wasi:cli`"), "{said}");
    assert!(said.contains("build it for monopod:state 0.1.0"), "{said}");
}

#[test]
fn imports_that_are_not_granted_are_named_with_the_line_that_grants_them() {
    for (import, line) in [
        ("monopod:state/buckets@0.1.0", r#"buckets = ["<name>"]"#),
        ("monopod:messaging/publisher@0.1.0", r#"publish = ["<topic>"]"#),
        ("monopod:blobs/blobs@0.1.0", r#"blobs = ["<container>"]"#),
        ("monopod:timers/timers@0.1.0", "timers = true"),
        ("wasi:keyvalue/store@0.2.0-draft", r#"buckets = ["<name>"]"#),
        ("wasi:keyvalue/batch@0.2.0-draft2", r#"buckets = ["<name>"]"#),
    ] {
        let wasm = text(&format!("(component (import \"{import}\" (instance)))"));
        refused(import, &wasm, &[import, "not granted", &format!("[components.x.grants] {line}")]);
    }
}

#[test]
fn what_standard_libraries_import_needs_no_grant() {
    for import in [
        "wasi:cli/environment@0.2.0",
        "wasi:cli/stdout@0.2.12",
        "wasi:cli/stdout@0.3.2",
        "wasi:filesystem/preopens@0.2.6",
        "wasi:sockets/tcp@0.2.3",
        "wasi:http/outgoing-handler@0.2.10",
        "wasi:http/client@0.3.0",
        "wasi:random/insecure-seed@0.2.99",
        "wasi:config/store@0.2.0-rc.1",
        "wasi:logging/logging@0.1.0-draft",
        "wasi:otel/tracing@0.2.0-rc.1",
        "monopod:identity/caller@0.1.0",
    ] {
        let refusal = check(&text(&format!("(component (import \"{import}\" (instance)))")));
        assert_eq!(refusal, None, "{import}");
    }
}

#[test]
fn many_wrong_imports_are_not_all_told() {
    let imports: String = (0..5_000).map(|n| format!("(import \"acme:own/thing{n}\" (instance))")).collect();
    let refusal = check(&text(&format!("(component {imports})"))).unwrap();
    assert_eq!(refusal.problems.len(), 21);
    assert!(refusal.problems[20].what.contains("4980 more"), "{:?}", refusal.problems[20]);
}
