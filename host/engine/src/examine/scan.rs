//! One pass over a component's sections. No section's content is trusted: counts are compared
//! with their bounds before anything is allocated for them, bodies are skipped by their length.

use monopod_core::component::Component;
use wasmparser::{
    BinaryReaderError, CanonicalFunction, CanonicalOption, Encoding, MemoryType, Parser, Payload,
};

use super::limits::{
    Bound, CODE, COMPONENTS, DATA, EXPORTS, FUNCTION, FUNCTIONS, IMPORTS, ITEMS, MEMORIES, MODULES, NESTING,
    TABLES, TYPES, exceeded,
};
use super::{MAX_FILE, Problem, limits};

/// What a component says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Names of what the outermost component imports.
    pub(crate) imports: Vec<String>,
    /// Whether it uses asynchronous functions, streams or futures, as WASI 0.3 has them.
    pub(crate) concurrent: bool,
}

/// Reads the outline of a component, or says why it is none, or which bound it breaks.
pub(crate) fn scan(wasm: &[u8], component: &Component) -> Result<Found, Problem> {
    if wasm.len() as u64 > MAX_FILE {
        return Err(exceeded(&limits::FILE, wasm.len() as u64));
    }
    let kind = Kind::of(wasm);
    if let Some(problem) = kind.problem() {
        return Err(problem);
    }
    let mut scan = Scan { memory: component.limits.memory.as_usize() as u64, ..Scan::default() };
    for payload in Parser::new(0).parse_all(wasm) {
        scan.payload(&payload.map_err(broken)?)?;
    }
    let minimum = scan.minimum;
    if minimum > scan.memory {
        let needed = minimum.div_ceil(1 << 20);
        return Err(Problem::new(
            format!(
                "its memory begins with {needed} MiB, which is over its limit of {}",
                component.limits.memory
            ),
            format!("[components.{}.limits] memory = \"{}MiB\"", component.name, needed.next_power_of_two()),
        ));
    }
    Ok(scan.found)
}

/// What the first bytes say.
enum Kind {
    Component,
    Module,
    OtherVersion(u16),
    Nothing,
}

impl Kind {
    fn of(wasm: &[u8]) -> Self {
        match wasm.get(..8) {
            Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Self::Module,
            Some([0, b'a', b's', b'm', 13, 0, 1, 0]) => Self::Component,
            Some([0, b'a', b's', b'm', low, high, 1, 0]) => {
                Self::OtherVersion(u16::from_le_bytes([*low, *high]))
            }
            _ => Self::Nothing,
        }
    }

    fn problem(&self) -> Option<Problem> {
        match self {
            Self::Component => None,
            Self::Module => Some(Problem::new(
                "it is a core module, not a component",
                "build for the target wasm32-wasip2",
            )),
            Self::OtherVersion(version) => Some(Problem::new(
                format!(
                    "it is a component of binary version {version}, which no host offers; this one reads 13"
                ),
                "build it with tools for WASI 0.2 or 0.3",
            )),
            Self::Nothing => Some(Problem::new("it is not WebAssembly", "build the bundle again")),
        }
    }
}

fn broken(why: BinaryReaderError) -> Problem {
    // What follows the first line is the reader's own trace.
    let text = why.message().lines().next().unwrap_or_default().to_owned();
    Problem::new(
        format!("it is truncated or damaged: {text} (at byte {})", why.offset()),
        "build the bundle again",
    )
}

/// How many of a bound's things were seen.
#[derive(Default)]
struct Tally(u64);

impl Tally {
    fn add(&mut self, bound: &Bound, more: impl Into<u64>) -> Result<(), Problem> {
        self.0 = self.0.saturating_add(more.into());
        if self.0 > bound.max { Err(exceeded(bound, self.0)) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Scan {
    found: Found,
    /// What its linear memories may have together.
    memory: u64,
    /// What they have from the start.
    minimum: u64,
    /// For each open module or component, whether it is a component; the first is the whole.
    open: Vec<bool>,
    code: Tally,
    data: Tally,
    functions: Tally,
    types: Tally,
    imports: Tally,
    exports: Tally,
    items: Tally,
    modules: Tally,
    components: Tally,
    memories: Tally,
    tables: Tally,
}

impl Scan {
    fn payload(&mut self, payload: &Payload<'_>) -> Result<(), Problem> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(*encoding == Encoding::Component),
            Payload::End(_) => {
                self.open.pop();
                Ok(())
            }
            // A core module.
            Payload::TypeSection(s) => self.types.add(&TYPES, s.count()),
            Payload::ImportSection(s) => self.imports.add(&IMPORTS, s.count()),
            Payload::FunctionSection(s) => self.functions.add(&FUNCTIONS, s.count()),
            Payload::TableSection(s) => self.tables.add(&TABLES, s.count()),
            Payload::MemorySection(s) => {
                self.memories.add(&MEMORIES, s.count())?;
                s.clone().into_iter().try_for_each(|memory| {
                    self.memory(&memory.map_err(broken)?);
                    Ok(())
                })
            }
            Payload::GlobalSection(s) => self.items.add(&ITEMS, s.count()),
            Payload::TagSection(s) => self.items.add(&ITEMS, s.count()),
            Payload::ElementSection(s) => self.items.add(&ITEMS, s.count()),
            Payload::ExportSection(s) => self.exports.add(&EXPORTS, s.count()),
            Payload::DataSection(s) => {
                self.items.add(&ITEMS, s.count())?;
                self.data.add(&DATA, length(&s.range()))
            }
            Payload::CodeSectionStart { size, .. } => self.code.add(&CODE, *size),
            Payload::CodeSectionEntry(body) => Tally::default().add(&FUNCTION, length(&body.range())),
            // A component.
            Payload::CoreTypeSection(s) => self.types.add(&TYPES, s.count()),
            Payload::ComponentTypeSection(s) => self.types.add(&TYPES, s.count()),
            Payload::InstanceSection(s) => self.items.add(&ITEMS, s.count()),
            Payload::ComponentInstanceSection(s) => self.items.add(&ITEMS, s.count()),
            Payload::ComponentAliasSection(s) => self.items.add(&ITEMS, s.count()),
            Payload::ComponentCanonicalSection(s) => {
                self.items.add(&ITEMS, s.count())?;
                for function in s.clone() {
                    self.found.concurrent |= concurrent(&function.map_err(broken)?);
                }
                Ok(())
            }
            Payload::ComponentImportSection(s) => {
                self.imports.add(&IMPORTS, s.count())?;
                if self.open.len() == 1 {
                    for import in s.clone() {
                        self.found.imports.push(import.map_err(broken)?.name.name.to_owned());
                    }
                }
                Ok(())
            }
            Payload::ComponentExportSection(s) => self.exports.add(&EXPORTS, s.count()),
            Payload::UnknownSection { id, .. } => Err(Problem::new(
                format!("it has a section of kind {id}, which no host offers"),
                "build it with tools for WASI 0.2 or 0.3",
            )),
            // The rest has no content, or none that is compiled.
            _ => Ok(()),
        }
    }

    fn begin(&mut self, component: bool) -> Result<(), Problem> {
        if !self.open.is_empty() {
            let (tally, bound) =
                if component { (&mut self.components, &COMPONENTS) } else { (&mut self.modules, &MODULES) };
            tally.add(bound, 1_u64)?;
        }
        self.open.push(component);
        let depth = self.open.iter().filter(|component| **component).count() as u64;
        if depth > NESTING.max + 1 { Err(exceeded(&NESTING, depth - 1)) } else { Ok(()) }
    }

    fn memory(&mut self, memory: &MemoryType) {
        let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
        self.minimum = self.minimum.saturating_add(memory.initial.saturating_mul(page));
    }
}

fn length(range: &std::ops::Range<usize>) -> u64 {
    range.len() as u64
}

/// Whether it is part of what WASI 0.3 brought: then the engine must support concurrency.
fn concurrent(function: &CanonicalFunction) -> bool {
    let asynchronous = |options: &[CanonicalOption]| options.contains(&CanonicalOption::Async);
    match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            asynchronous(options)
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => false,
        _ => true,
    }
}
