//! How large a component may be, in every respect that costs time or memory to compile.
//!
//! Compiling cannot be interrupted, so what bounds it is the size of what is compiled. The
//! numbers leave room above the largest that known toolchains make: a Python component with its
//! interpreter has 18 MB, 6.6 MB of code, 14 modules, 13,500 functions, one of them 427 KB.

use super::Problem;

/// One bound on a component, as it is enforced and documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What is counted.
    pub name: &'static str,
    /// How many there may be.
    pub max: u64,
    /// Of what; empty for plain numbers.
    pub unit: &'static str,
}

const fn bytes(name: &'static str, mebibytes: u64) -> Bound {
    Bound { name, max: mebibytes << 20, unit: "bytes" }
}

const fn count(name: &'static str, max: u64) -> Bound {
    Bound { name, max, unit: "" }
}

/// The largest component, in bytes; bundles have the same bound.
pub const MAX_FILE: u64 = 128 << 20;
pub(super) const FILE: Bound = bytes("its file", 128);
/// What is compiled: a minute or two of one core.
pub(super) const CODE: Bound = bytes("its code, of all modules together,", 32);
/// The compiler's time and memory grow faster than the length of a function.
pub(super) const FUNCTION: Bound = bytes("one of its functions", 1);
/// Data is copied into the compiled code.
pub(super) const DATA: Bound = bytes("its data, of all modules together,", 48);
/// Each is a unit of the compiler's work.
pub(super) const FUNCTIONS: Bound = count("the number of its functions", 200_000);
/// Types, of modules and of components.
pub(super) const TYPES: Bound = count("the number of its types", 100_000);
/// Imports, of modules and of components.
pub(super) const IMPORTS: Bound = count("the number of its imports", 20_000);
/// Exports, of modules and of components.
pub(super) const EXPORTS: Bound = count("the number of its exports", 50_000);
/// Globals, elements, data segments, aliases, and everything else that is listed.
pub(super) const ITEMS: Bound = count("the number of its globals, segments, aliases and the like", 500_000);
/// Core modules: one for each library that was linked, and a few shims.
pub(super) const MODULES: Bound = count("the number of its modules", 64);
/// Components inside it: toolchains make one or two, composition one for each part.
pub(super) const COMPONENTS: Bound = count("the number of components inside it", 64);
/// Components inside components.
pub(super) const NESTING: Bound = count("the depth to which components are nested in it", 8);
/// Linear memories: one, and those that composition adds.
pub(super) const MEMORIES: Bound = count("the number of its memories", 16);
/// Tables of functions.
pub(super) const TABLES: Bound = count("the number of its tables", 64);

/// Every bound on a component at load.
pub fn bounds() -> [Bound; 14] {
    [
        FILE, CODE, FUNCTION, DATA, FUNCTIONS, TYPES, IMPORTS, EXPORTS, ITEMS, MODULES, COMPONENTS, NESTING,
        MEMORIES, TABLES,
    ]
}

pub(super) fn exceeded(bound: &Bound, found: u64) -> Problem {
    let Bound { name, max, unit } = bound;
    let gap = if unit.is_empty() { "" } else { " " };
    Problem::new(
        format!("{name} is over the limit: {found}{gap}{unit}, at most {max}{gap}{unit}"),
        "build it smaller, for release and without debug information, or split it",
    )
}
