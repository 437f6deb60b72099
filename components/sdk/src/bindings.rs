//! The generated bindings: one module for what components import, one for each kind of
//! export. Used by `host`, `shell` and the `export!` macro; not part of the crate's interface.
#![allow(missing_docs, unsafe_code, clippy::all, clippy::restriction, reason = "generated code")]

/// Everything a component may import.
pub mod imports {
    wit_bindgen::generate!({
        inline: "
            package monopod:sdk;
            world imports {
                include monopod:platform/imports@0.1.0;
                import wasi:cli/environment@0.2.12;
                import wasi:cli/stderr@0.2.12;
                import wasi:clocks/wall-clock@0.2.12;
                import wasi:random/random@0.2.12;
            }
        ",
        world: "monopod:sdk/imports",
        path: [
            "../../wit/deps/io.wit",
            "../../wit/deps/clocks.wit",
            "../../wit/deps/random.wit",
            "../../wit/deps/filesystem.wit",
            "../../wit/deps/sockets.wit",
            "../../wit/deps/cli.wit",
            "../../wit/deps/http.wit",
            "../../wit/identity",
            "../../wit/messaging",
            "../../wit/state",
            "../../wit/timers",
            "../../wit/blobs",
            "../../wit/function",
            "../../wit/graph",
            "../../wit/platform",
        ],
        generate_all,
    });
}

macro_rules! exporting {
    ($module:ident, $world:literal, $default:literal, { $($reexport:tt)* }) => {
        pub mod $module {
            wit_bindgen::generate!({
                world: $world,
                path: [
                    "../../wit/deps/io.wit",
                    "../../wit/deps/clocks.wit",
                    "../../wit/deps/random.wit",
                    "../../wit/deps/filesystem.wit",
                    "../../wit/deps/sockets.wit",
                    "../../wit/deps/cli.wit",
                    "../../wit/deps/http.wit",
                    "../../wit/identity",
                    "../../wit/messaging",
                    "../../wit/state",
                    "../../wit/timers",
                    "../../wit/blobs",
                    "../../wit/function",
                    "../../wit/graph",
                    "../../wit/platform",
                ],
                pub_export_macro: true,
                default_bindings_module: $default,
                with: {
                    "monopod:identity/caller@0.1.0": super::imports::monopod::identity::caller,
                    "monopod:state/buckets@0.1.0": super::imports::monopod::state::buckets,
                    "monopod:messaging/types@0.1.0": super::imports::monopod::messaging::types,
                    "monopod:messaging/publisher@0.1.0": super::imports::monopod::messaging::publisher,
                    "monopod:timers/timers@0.1.0": super::imports::monopod::timers::timers,
                    "monopod:blobs/blobs@0.1.0": super::imports::monopod::blobs::blobs,
                    "wasi:io/error@0.2.12": super::imports::wasi::io::error,
                    "wasi:io/poll@0.2.12": super::imports::wasi::io::poll,
                    "wasi:io/streams@0.2.12": super::imports::wasi::io::streams,
                    "wasi:clocks/monotonic-clock@0.2.12": super::imports::wasi::clocks::monotonic_clock,
                    "wasi:http/types@0.2.12": super::imports::wasi::http::types,
                    "wasi:http/outgoing-handler@0.2.12": super::imports::wasi::http::outgoing_handler,
                },
                generate_all,
            });
            $($reexport)*
        }
    };
}

exporting!(http_service, "monopod:platform/http-service", "monopod_sdk::bindings::http_service", {
    pub use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
});
exporting!(function, "monopod:platform/function", "monopod_sdk::bindings::function", {
    pub use exports::monopod::function::handler::{Call, Error, Field, Guest, Kind, Problem};
});
exporting!(message_handler, "monopod:platform/message-handler", "monopod_sdk::bindings::message_handler", {
    pub use exports::monopod::messaging::handler::{Guest, Message, Outcome};
});
exporting!(timer_handler, "monopod:platform/timer-handler", "monopod_sdk::bindings::timer_handler", {
    pub use exports::monopod::timers::handler::{Guest, Outcome, Timer};
});
exporting!(field_resolver, "monopod:platform/field-resolver", "monopod_sdk::bindings::field_resolver", {
    pub use exports::monopod::graph::resolver::{Field, Guest, Problem, Value};
});
