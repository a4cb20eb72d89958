//! The plugin in an async tool: a call is a future, and gives way to other tasks.
//!
//!     cargo run -p tracker-artifacts -- target/artifacts
//!     cargo run --example plugin_async -- target/artifacts/tracker.wasm target/plugin-store

#![allow(missing_docs)]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracker_host::clock::{self, Clock};
use tracker_host::store::{self, Limits, StoreCtx, StoreHostView, StoreView, lmdb};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};

wasmtime::component::bindgen!({ path: "../wit", world: "tracker-component", exports: { default: async } });
use exports::galaxybrain::tracker::types::FileUpsert;

struct Tool {
    store: StoreCtx,
    resources: ResourceTable,
}

impl StoreHostView for Tool {
    fn store(&mut self) -> StoreView<'_> {
        StoreView { ctx: &mut self.store, resources: &mut self.resources }
    }
}

async fn record(component: &str, directory: &str) -> Result<u64, Box<dyn Error>> {
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let component = Component::from_file(&engine, component)?;
    let mut linker = Linker::new(&engine);
    store::add_to_linker::<Tool>(&mut linker)?;
    clock::add_to_linker(&mut linker, Clock::system())?;
    let environment = lmdb::Environment::open(directory, lmdb::Options::default())?;
    let tool = Tool { store: StoreCtx::new(Arc::new(environment), Limits::default()), resources: ResourceTable::new() };
    let mut store = Store::new(&engine, tool);
    // The guest gives way at each tick.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let ticking = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = ticking.upgrade() {
            std::thread::sleep(Duration::from_millis(1));
            engine.increment_epoch();
        }
    });

    let plugin = TrackerComponent::instantiate_async(&mut store, &component, &linker).await?;
    let tracker = plugin.galaxybrain_tracker_tracker();
    let file = |size: i64| FileUpsert {
        path: format!("/src/{size}.rs"),
        mtime: 1.7e9,
        size,
        content_hash: "5f1c".into(),
        blob_offset: 0,
        blob_length: size,
        key_hash: size as u64,
        contexts: vec![],
    };
    let files: Vec<FileUpsert> = (0..10_000).map(file).collect();
    tracker.call_upsert_files(&mut store, &files).await??;
    Ok(tracker.call_file_count(&mut store).await??)
}

pub fn run(component: &str, directory: &str) -> Result<(u64, u32), Box<dyn Error>> {
    // A runtime of one thread: a call's write transaction belongs to the thread that began it.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let turns = Arc::new(AtomicU32::new(0));
    let counted = turns.clone();
    runtime.spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let files = runtime.block_on(record(component, directory))?;
    Ok((files, turns.load(Ordering::Relaxed)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [component, directory] = &arguments[..] else {
        return Err("usage: plugin_async <tracker.wasm> <store>".into());
    };
    let (files, turns) = run(component, directory)?;
    println!("{files} files are recorded; another task had {turns} turns meanwhile");
    Ok(())
}
