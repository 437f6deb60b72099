//! Build script of the small services: how their memory is laid out.

/// Bytes of stack. Services parse and print JSON, which takes a few kilobytes; a small stack
/// keeps what an invocation touches together, so that the host clears less afterwards.
const STACK: usize = 128 * 1024;

fn main() {
    println!("cargo:rerun-if-changed=../link.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        println!("cargo:rustc-link-arg-cdylib=-zstack-size={STACK}");
    }
}
