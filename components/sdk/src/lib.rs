//! What a component written in Rust needs to run in monopod.
//!
//! A component is an ordinary library of crate type `cdylib`. It implements one or more of
//! these traits and exports them:
//!
//! - [`Http`] answers requests: its REST interface, behind GraphQL, called by other
//!   components, or exposed by the front door;
//! - [`Function`] answers bytes with bytes, without HTTP around them: the shortest way;
//! - [`Messages`] handles the messages of the topics it is granted to consume;
//! - [`TimerEvents`] handles the timers it has set;
//! - [`Fields`] answers fields of GraphQL in code, without HTTP in between.
//!
//! ```
//! use monopod_sdk::http::{Method, Problem, Request, Response};
//!
//! struct Weather;
//!
//! impl monopod_sdk::Http for Weather {
//!     fn handle(request: Request) -> Result<Response, Problem> {
//!         match (request.method(), request.segments().as_slice()) {
//!             (Method::Get, ["v1", "ping"]) => Ok(Response::text("pong")),
//!             _ => Err(Problem::no_route(&request)),
//!         }
//!     }
//! }
//!
//! monopod_sdk::export!(Weather: http);
//! ```
//!
//! What a component may touch it reaches through the traits of [`ports`]; `Host` implements
//! them all inside the host. Write the logic as functions over the ports it needs
//! (`fn start(ports: &impl Buckets, ..)`) and it runs natively, in a plain `cargo test`,
//! against the fake of [`testing`]. Only what is called is linked, so a component imports no
//! more than it uses.
//!
//! **The unit of work.** State, messages and timers of one invocation are committed together
//! when it ends well, and dropped together when it traps, times out, fails, or answers a request
//! with 5xx. An invocation may therefore run twice, and has its effect once. Do not keep state in a `static`: every
//! invocation gets a fresh instance unless the platform file says otherwise.
//!
//! Not for the host: this crate is compiled into guests only.

pub mod graph;
pub mod http;
pub mod id;
mod message;
pub mod ports;
mod problem;
pub mod time;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod heap;
#[cfg(target_arch = "wasm32")]
mod host;
#[cfg(target_arch = "wasm32")]
mod libc;
#[cfg(target_arch = "wasm32")]
mod outgoing;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod shell;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
pub use host::Host;
pub use http::{Method, Problem, Request, Response};
pub use ports::{Failure, Message, Outgoing, Timer};

/// Writes a line for the operator to the component's log. `level` is one of `debug`, `info`,
/// `warn`, `error`. The host adds component, time, correlation id and trace. Never log what a
/// client would not want to read there.
pub fn log(level: &str, text: &str) {
    #[cfg(target_arch = "wasm32")]
    shell::log(level, text);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level}: {text}");
}

/// A component that answers HTTP.
pub trait Http {
    /// Answers one request. A [`Problem`] becomes the JSON error body that clients and the
    /// GraphQL front end understand.
    fn handle(request: Request) -> Result<Response, Problem>;
}

/// A component that answers bytes with bytes.
pub trait Function {
    /// Answers one call of the function `name`: path and query of the request, as
    /// `/v1/price?currency=EUR`. A [`Problem`] reaches the caller as an error of its kind.
    fn handle(name: &str, body: Vec<u8>) -> Result<Vec<u8>, Problem>;
}

/// A component that consumes topics.
pub trait Messages {
    /// Handles one message; called again after a failure. Its effects happen once.
    fn handle(message: Message) -> Result<(), Failure>;
}

/// A component that sets timers.
pub trait TimerEvents {
    /// Handles a timer that is due. A timer fires once; after a failure again.
    fn fire(timer: Timer) -> Result<(), Failure>;
}

/// A component that answers fields of GraphQL: those with `@resolve` in its `schema.graphql`.
pub trait Fields {
    /// Answers a field on all objects of a level at once.
    fn resolve(field: graph::Field) -> graph::Answers;
}

/// Exports what a component implements: `export!(Name: http, function, messages, timers, fields)`, with
/// those of the five that it has. Once per component. Does nothing in a native build, so that the
/// same crate runs its tests there.
#[macro_export]
macro_rules! export {
    ($component:ident: $($kind:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $( $crate::__export!($kind $component); )+
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (http $component:ident) => {
        struct HttpShell;
        impl $crate::bindings::http_service::Guest for HttpShell {
            fn handle(
                request: $crate::bindings::http_service::IncomingRequest,
                out: $crate::bindings::http_service::ResponseOutparam,
            ) {
                $crate::shell::http::<$component>(request, out);
            }
        }
        $crate::bindings::http_service::export!(HttpShell with_types_in $crate::bindings::http_service);
    };
    (function $component:ident) => {
        struct FunctionShell;
        impl $crate::bindings::function::Guest for FunctionShell {
            fn handle(
                call: $crate::bindings::function::Call,
            ) -> Result<Vec<u8>, $crate::bindings::function::Error> {
                $crate::shell::function::<$component>(call)
            }
        }
        $crate::bindings::function::export!(FunctionShell with_types_in $crate::bindings::function);
    };
    (messages $component:ident) => {
        struct MessageShell;
        impl $crate::bindings::message_handler::Guest for MessageShell {
            fn handle(
                message: $crate::bindings::message_handler::Message,
            ) -> $crate::bindings::message_handler::Outcome {
                $crate::shell::message::<$component>(message)
            }
        }
        $crate::bindings::message_handler::export!(MessageShell with_types_in $crate::bindings::message_handler);
    };
    (fields $component:ident) => {
        struct FieldShell;
        impl $crate::bindings::field_resolver::Guest for FieldShell {
            fn resolve(
                field: $crate::bindings::field_resolver::Field,
            ) -> Result<
                Vec<Result<$crate::bindings::field_resolver::Value, $crate::bindings::field_resolver::Problem>>,
                $crate::bindings::field_resolver::Problem,
            > {
                $crate::shell::fields::<$component>(field)
            }
        }
        $crate::bindings::field_resolver::export!(FieldShell with_types_in $crate::bindings::field_resolver);
    };
    (timers $component:ident) => {
        struct TimerShell;
        impl $crate::bindings::timer_handler::Guest for TimerShell {
            fn fire(
                timer: $crate::bindings::timer_handler::Timer,
            ) -> $crate::bindings::timer_handler::Outcome {
                $crate::shell::timer::<$component>(timer)
            }
        }
        $crate::bindings::timer_handler::export!(TimerShell with_types_in $crate::bindings::timer_handler);
    };
}
