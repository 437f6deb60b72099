//! The guest's heap. A service answers within the megabyte below; growing the memory costs the
//! host more than the whole call, so it happens only to those that need more.
//!
//! The megabyte is a zeroed static rather than "what lies behind the data": the linker makes
//! room for it on every toolchain, and the C library's own allocator, should anything call
//! it, cannot take it for its own. It is handed out piece by piece, so that what an invocation
//! touches stays together and the host clears little afterwards.
#![allow(unsafe_code, reason = "an allocator is unsafe by its nature")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};

use dlmalloc::{Allocator, Dlmalloc};

/// The first heap: a request and an answer of 256 KiB each, parsed and printed, fit.
/// Untouched pages cost nothing.
const FIRST: usize = 1 << 20;
/// WebAssembly's page.
const PAGE: usize = 64 * 1024;

// The host's page, so that nothing else is touched along with it.
#[repr(align(4096))]
struct First(UnsafeCell<[u8; FIRST]>);
// SAFETY: guests have one thread.
unsafe impl Sync for First {}
static HEAP: First = First(UnsafeCell::new([0; FIRST]));

/// Hands out the first heap, then grows the memory.
struct Memory {
    /// Bytes of the first heap that are handed out.
    taken: Cell<usize>,
}

// SAFETY: every range returned is zeroed, aligned to 4 KiB, and handed out once.
unsafe impl Allocator for Memory {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let taken = self.taken.get();
        if size <= FIRST - taken {
            self.taken.set(taken + size);
            // Behind the last one, which the allocator joins to it.
            return (HEAP.0.get().cast::<u8>().wrapping_add(taken), size, 0);
        }
        let pages = size.div_ceil(PAGE);
        match core::arch::wasm32::memory_grow(0, pages) {
            usize::MAX => (std::ptr::null_mut(), 0, 0),
            previous => ((previous * PAGE) as *mut u8, pages * PAGE, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        std::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

struct Heap(UnsafeCell<Dlmalloc<Memory>>);
// SAFETY: guests have one thread.
unsafe impl Sync for Heap {}

// SAFETY: dlmalloc keeps the contract; with one thread nothing else holds the cell.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(at, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(at, layout.size(), layout.align(), size) }
    }
}

#[global_allocator]
static GLOBAL: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Memory { taken: Cell::new(0) })));
