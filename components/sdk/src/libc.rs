//! The four calls of the C library that even a component without files needs, on this world's
//! own interfaces.
//!
//! Where the C library still speaks WASI 0.1 (Debian's does), the linker would bring an adapter
//! for them: a second module to instantiate for every call, and imports of a file system that no
//! component has. Defining the calls here leaves nothing to adapt. A C library that speaks WASI
//! 0.2 does not call them, and they are left out. Only panics, `eprintln!` and `std::env` come
//! this way.
#![allow(unsafe_code, reason = "the C library calls with pointers")]

use crate::bindings::imports::wasi::cli::environment::get_environment;
use crate::bindings::imports::wasi::cli::stderr::get_stderr;
use crate::shell;

/// WASI 0.1's "all is well", "bad file descriptor" and "input/output error".
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const IO: i32 = 29;

/// A piece of what is written.
#[repr(C)]
struct Piece {
    at: *const u8,
    length: usize,
}

/// Standard output and standard error both go to the component's log.
///
/// # Safety
/// As WASI 0.1's `fd_write`: `pieces` are `count` readable pieces, `written` is writable.
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_fd_write")]
unsafe extern "C" fn fd_write(fd: i32, pieces: *const Piece, count: usize, written: *mut usize) -> i32 {
    if !matches!(fd, 1 | 2) {
        return BADF;
    }
    let stream = get_stderr();
    let mut total = 0;
    for index in 0..count {
        // SAFETY: the caller's promise.
        let bytes = unsafe {
            let piece = &*pieces.add(index);
            std::slice::from_raw_parts(piece.at, piece.length)
        };
        if shell::write(&stream, bytes).is_err() {
            return IO;
        }
        total += bytes.len();
    }
    // SAFETY: the caller's promise.
    unsafe { written.write(total) };
    SUCCESS
}

/// How much room the environment takes.
///
/// # Safety
/// As WASI 0.1's `environ_sizes_get`: both pointers are writable.
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_environ_sizes_get")]
unsafe extern "C" fn environ_sizes_get(count: *mut usize, bytes: *mut usize) -> i32 {
    let environment = get_environment();
    // `=` and the closing zero.
    let size = environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    // SAFETY: the caller's promise.
    unsafe {
        count.write(environment.len());
        bytes.write(size);
    }
    SUCCESS
}

/// The environment, as `name=value` with closing zeros.
///
/// # Safety
/// As WASI 0.1's `environ_get`: there is the room that `environ_sizes_get` said.
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_environ_get")]
unsafe extern "C" fn environ_get(mut entries: *mut *mut u8, mut bytes: *mut u8) -> i32 {
    for (name, value) in get_environment() {
        // SAFETY: the environment does not change, so the room is what was asked for.
        unsafe {
            entries.write(bytes);
            entries = entries.add(1);
            for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
                bytes.copy_from_nonoverlapping(part.as_ptr(), part.len());
                bytes = bytes.add(part.len());
            }
        }
    }
    SUCCESS
}

/// A component cannot end but by returning: the invocation fails.
#[unsafe(export_name = "__imported_wasi_snapshot_preview1_proc_exit")]
extern "C" fn proc_exit(_status: i32) -> ! {
    core::arch::wasm32::unreachable()
}
