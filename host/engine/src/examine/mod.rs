//! Looking at a component before it is compiled: whether it is one at all, within the sizes that
//! compiling can bear, and whether everything it imports is offered and granted here.
//!
//! Called by the loader, and by the binary's `check` through [`check`](crate::check). It reads
//! bytes that nobody vouches for, in time and memory bounded by the file's size, and neither
//! compiles nor runs anything.

pub(crate) mod imports;
mod limits;
mod offers;
mod scan;

use std::fmt;

use monopod_core::component::Component;
use monopod_core::name::ComponentName;

pub use limits::{Bound, MAX_FILE, bounds};
pub(crate) use scan::scan;

/// Why a component does not run here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the name of what is meant.
    pub what: String,
    /// The line to add, or what to build instead.
    pub fix: String,
}

/// A component that is refused, with every reason that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub component: ComponentName,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n" };
            write!(
                f,
                "{gap}component `{}` cannot be loaded: {}\n  fix: {}",
                self.component, problem.what, problem.fix
            )?;
        }
        Ok(())
    }
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// Everything that is wrong with the components, without compiling any: what can be told from
/// their names and sizes. That an import has the shape that is offered, only loading tells.
pub fn check(components: &[Component]) -> Vec<Refusal> {
    let refusal = |component: &Component| {
        let problems = examine(component).err()?;
        Some(Refusal { component: component.name.clone(), problems })
    };
    components.iter().filter_map(refusal).collect()
}

fn examine(component: &Component) -> Result<(), Vec<Problem>> {
    let wasm = read(component).map_err(|problem| vec![problem])?;
    let found = scan(&wasm, component).map_err(|problem| vec![problem])?;
    let problems = imports::judge(found.imports.iter().map(String::as_str), component);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The component's file, if it is not too large to be looked at.
pub(crate) fn read(component: &Component) -> Result<Vec<u8>, Problem> {
    let file = &component.wasm;
    let unread =
        |why: std::io::Error| Problem::new(format!("{}: {why}", file.display()), "build the bundle again");
    let size = std::fs::metadata(file).map_err(unread)?.len();
    if size > MAX_FILE {
        return Err(limits::exceeded(&limits::FILE, size));
    }
    std::fs::read(file).map_err(unread)
}
