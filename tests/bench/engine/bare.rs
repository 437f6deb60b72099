//! The guest's own work in a function: the same code in a bare instance of the same engine, kept,
//! without a host around it. What is over it is the host's own cost.

use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, TypedFunc};
use wasmtime::{Config, Engine, Store};

use crate::machine;

/// What is called, as in `wit/function`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Call {
    name: String,
    body: Vec<u8>,
}

/// Read so that the types are right; the function answers well.
#[derive(ComponentType, Lift)]
#[component(variant)]
#[allow(dead_code, reason = "what a variant holds is part of its type")]
enum Error {
    #[component(name = "problem")]
    Problem(Problem),
    #[component(name = "fields")]
    Fields(Vec<Field>),
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "as above")]
enum Kind {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "denied")]
    Denied,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "conflict")]
    Conflict,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "other")]
    Other,
}

#[derive(ComponentType, Lift)]
#[component(record)]
#[allow(dead_code, reason = "as above")]
struct Problem {
    kind: Kind,
    code: String,
    text: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
#[allow(dead_code, reason = "as above")]
struct Field {
    name: String,
    wrong: Vec<String>,
}

/// The guest, kept.
pub struct Bare {
    store: Store<()>,
    handle: TypedFunc<(Call,), (Result<Vec<u8>, Error>,)>,
}

impl Bare {
    /// The function of this component.
    pub fn load(wasm: &std::path::Path) -> Self {
        let mut config = Config::new();
        // As little between the two as can be: no interruption, no stack of its own.
        config.concurrency_support(false);
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_file(&engine, wasm).unwrap();
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &component).unwrap();
        let interface =
            instance.get_export_index(&mut store, None, "monopod:function/handler@0.1.0").unwrap();
        let handle = instance.get_export_index(&mut store, Some(&interface), "handle").unwrap();
        let handle = instance.get_typed_func(&mut store, handle).unwrap();
        Self { store, handle }
    }

    /// Microseconds of processor for one call without a body.
    pub fn cost(&mut self, name: &str, calls: u32) -> f64 {
        for _ in 0..calls / 10 {
            self.call(name);
        }
        let used = machine::thread();
        for _ in 0..calls {
            self.call(name);
        }
        (machine::thread() - used) * 1e6 / f64::from(calls)
    }

    fn call(&mut self, name: &str) {
        let call = Call { name: name.to_owned(), body: Vec::new() };
        let (answer,) = self.handle.call(&mut self.store, (call,)).unwrap();
        assert!(answer.is_ok_and(|body| body.is_empty()));
    }
}
