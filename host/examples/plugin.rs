//! A tool with a wasmtime store and linker of its own loads the tracker as a
//! plugin, lends it an LMDB environment, and calls it.
//!
//!     cargo run -p tracker-artifacts -- target/artifacts
//!     cargo run --example plugin -- target/artifacts/tracker.wasm target/plugin-store

#![allow(missing_docs)]

use std::{error::Error, sync::Arc};

use tracker_host::clock::{self, Clock};
use tracker_host::store::{self, Limits, StoreCtx, StoreHostView, StoreView, lmdb};
use wasmtime::component::{Component, Linker, ResourceTable, Val};
use wasmtime::{Engine, Store};

wasmtime::component::bindgen!({ path: "../wit", world: "tracker-component" });

struct Tool {
    store: StoreCtx,
    resources: ResourceTable,
}

impl StoreHostView for Tool {
    fn store(&mut self) -> StoreView<'_> {
        StoreView { ctx: &mut self.store, resources: &mut self.resources }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [component, directory] = &arguments[..] else { return Err("usage: plugin <tracker.wasm> <store>".into()) };
    run(component, directory).map(|said| println!("{said}"))
}

pub fn run(component: &str, directory: &str) -> Result<String, Box<dyn Error>> {
    let engine = Engine::default();
    let component = Component::from_file(&engine, component)?;
    let mut linker = Linker::new(&engine);
    store::add_to_linker::<Tool>(&mut linker)?;
    clock::add_to_linker(&mut linker, Clock::system())?;
    let environment = Arc::new(lmdb::Environment::open(directory, lmdb::Options::default())?);
    let store = StoreCtx::new(environment, Limits::default());
    let mut store = Store::new(&engine, Tool { store, resources: ResourceTable::new() });
    let instance = linker.instantiate(&mut store, &component)?;

    // Typed, with bindings generated from the WIT.
    let plugin = TrackerComponent::new(&mut store, &instance)?;
    let tracker = plugin.galaxybrain_tracker_tracker();
    tracker.call_upsert_file(&mut store, "/src/a.rs", 1.7e9, 120, "5f1c", 0, 120, 42, &["context:cli".into()])??;
    let file = tracker.call_get_file(&mut store, "/src/a.rs")??;

    // Untyped, with names and values that are only known when the tool runs.
    let interface = instance.get_export_index(&mut store, None, "galaxybrain:tracker/tracker@0.1.0");
    let function = instance.get_export_index(&mut store, interface.as_ref(), "file-count");
    let function = function.and_then(|index| instance.get_func(&mut store, index)).ok_or("no file-count")?;
    let mut answer = [Val::Bool(false)];
    function.call(&mut store, &[], &mut answer)?;
    Ok(format!("typed: {:?}, untyped: {answer:?}", file.map(|file| file.size)))
}
