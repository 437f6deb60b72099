//! The peer of the engine's figures: `wasmtime serve`, of the release that the engine is built
//! from, built once from its published source into the cache. Nothing of it is the product's.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::place::Place;
use crate::process;
use crate::ui::Step;

/// The engine's own release; `Cargo.toml` names the same.
const VERSION: &str = "48.0.8";
/// What serving needs, and the pool that makes it fast.
const FEATURES: &str = "run,compile,serve,cranelift,parallel-compilation,pooling-allocator,component-model,\
                        component-model-async,wasi-http";

/// The program; built if it is missing, which takes ten minutes.
pub fn ready(place: &Place, step: &mut Step) -> Result<PathBuf> {
    let root = place.tools().join(format!("wasmtime-{VERSION}"));
    let program = root.join("bin/wasmtime");
    if program.is_file() {
        return Ok(program);
    }
    let building = place.cache.join("wasmtime");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "install",
        "wasmtime-cli",
        "--version",
        VERSION,
        "--locked",
        "--no-default-features",
        "--no-track",
    ]);
    cargo.args(["--features", FEATURES]).arg("--root").arg(&root).current_dir("/");
    cargo.env("CARGO_TARGET_DIR", &building).env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    let text = format!("building wasmtime {VERSION} to measure against (once, ten minutes)");
    let answer = process::ask(&mut cargo, None, &mut || step.tick(&text))?;
    if !answer.ending.ok() {
        bail!("cargo could not build wasmtime-cli {VERSION}: {}", answer.err.trim());
    }
    // A gigabyte that only building needed; if it stays it harms nobody.
    let _left = std::fs::remove_dir_all(&building);
    Ok(program)
}
