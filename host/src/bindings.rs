//! Host bindings generated from `wit/`.

#![allow(missing_docs, reason = "generated; the WIT files are documented")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "tracker-component",
    with: {
        "galaxybrain:tracker/store.transaction": crate::store::OpenTransaction,
    },
    imports: { default: trappable },
    additional_derives: [PartialEq, Clone],
});
