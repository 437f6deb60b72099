//! Bindings generated from `wit/`. The host's side of every monopod package.

#![allow(missing_docs, reason = "the documentation stands in wit/")]
#![allow(clippy::all, clippy::pedantic, clippy::indexing_slicing, reason = "generated code")]
#![allow(unsafe_code, reason = "generated code")]

wasmtime::component::bindgen!({
    path: [
        "../../wit/identity",
        "../../wit/state",
        "../../wit/messaging",
        "../../wit/timers",
        "../../wit/blobs",
        "../../wit/function",
        "../../wit/graph",
    ],
    inline: "
        package monopod:host;

        world all {
            import monopod:identity/caller@0.1.0;
            import monopod:state/buckets@0.1.0;
            import monopod:messaging/publisher@0.1.0;
            import monopod:timers/timers@0.1.0;
            import monopod:blobs/blobs@0.1.0;
            export monopod:function/handler@0.1.0;
            export monopod:messaging/handler@0.1.0;
            export monopod:timers/handler@0.1.0;
            export monopod:graph/resolver@0.1.0;
        }
    ",
    world: "monopod:host/all",
    imports: {
        "monopod:state/buckets.get": async | trappable,
        "monopod:state/buckets.scan": async | trappable,
        "monopod:state/buckets.scan-window": async | trappable,
        "monopod:state/buckets.get-versioned": async | trappable,
        "monopod:state/buckets.compare-and-set": async | trappable,
        "monopod:blobs/blobs.stat": async | trappable,
        "monopod:blobs/blobs.read": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    require_store_data_send: true,
});
