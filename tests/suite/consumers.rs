//! Programs in other languages that import the tracker.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;
use tracker_consumers::{Language, Tools, component, expected, over_memory, over_store, run};
use tracker_host::store::lmdb::{self, Environment};
use tracker_host::store::{self, Limits, StoreCtx, StoreHostView, StoreView};
use tracker_host::{TRACKER_WASM, Tracker, clock};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};

use crate::support::{self, figure, long, present, ticking};

/// The tools of `tests/setup.sh` and `polyglot/consumers/setup.sh`; none, said
/// aloud, where a language's are not there.
fn tools(language: Language) -> Option<Tools> {
    let tools = Tools::from_environment();
    let (has, install): (fn(&Tools) -> bool, &str) = match language {
        Language::C => (Tools::has_c, "run tests/setup.sh and set TRACKER_PYTHON to what it prints"),
        Language::Python => (Tools::has_python, "run polyglot/consumers/setup.sh python"),
        Language::Js => (Tools::has_js, "run polyglot/consumers/setup.sh js"),
    };
    let found = tools.as_ref().is_some_and(has);
    present(&format!("what builds the consumer in {language:?}"), found, install).then_some(())?;
    tools
}

/// The consumer in C, built once.
fn in_c() -> Option<&'static [u8]> {
    static BUILT: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        Some(component(Language::C, &tools(Language::C)?, dir.path()).unwrap())
    });
    BUILT.as_deref()
}

fn composed(consumer: &[u8]) -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("composed.wasm");
    std::fs::write(&path, over_memory(consumer).unwrap()).unwrap();
    (dir, path)
}

#[test]
fn a_consumer_in_c_runs_in_the_stock_command() {
    let Some(consumer) = in_c() else { return };
    let tools = tools(Language::C).unwrap();
    figure("bytes of the consumer in C", consumer.len());
    let (_dir, path) = composed(consumer);
    for files in [0, 1, 7] {
        assert_eq!(run(&tools, &path, files).unwrap(), expected(files));
    }
}

#[test]
fn what_is_composed_has_the_trackers_own_bytes_and_wants_the_time_alone() {
    let Some(consumer) = in_c() else { return };
    let composed = over_memory(consumer).unwrap();
    let inside = |bytes: &[u8]| composed.windows(bytes.len()).filter(|window| *window == bytes).count();
    assert_eq!((inside(TRACKER_WASM), inside(consumer)), (1, 1));
    let engine = Engine::default();
    let ty = Component::new(&engine, &composed).unwrap().component_type();
    let imports: Vec<String> = ty.imports(&engine).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(imports, ["wasi:clocks/wall-clock@0.2.6"]);
}

struct State {
    store: StoreCtx,
    resources: ResourceTable,
}

impl StoreHostView for State {
    fn store(&mut self) -> StoreView<'_> {
        StoreView { ctx: &mut self.store, resources: &mut self.resources }
    }
}

/// What the consumer reports over an environment that this process lends it.
fn report_over(directory: &Path, consumer: &[u8], files: u32) -> Result<String, String> {
    let engine = Engine::default();
    let component = Component::new(&engine, over_store(consumer).unwrap()).unwrap();
    let mut linker = Linker::new(&engine);
    store::add_to_linker::<State>(&mut linker).unwrap();
    clock::add_to_linker(&mut linker, ticking()).unwrap();
    let environment = Environment::open(directory, lmdb::Options::default()).unwrap();
    let ctx = StoreCtx::new(Arc::new(environment), Limits::default());
    let mut store = Store::new(&engine, State { store: ctx, resources: ResourceTable::new() });
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let report = instance.get_typed_func::<(u32,), (Result<String, String>,)>(&mut store, "report").unwrap();
    report.call(&mut store, (files,)).unwrap().0
}

#[test]
fn a_consumer_in_c_over_an_environment_writes_what_the_host_reads() {
    let Some(consumer) = in_c() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    assert_eq!(report_over(&store, consumer, 5).unwrap(), expected(5));
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(tracker.get_symbols("/src/4.c").unwrap().len(), 2);
    assert_eq!(tracker.verify().unwrap().errors, 0);
    // It learns of what others did: the first file is gone, and so is one of the context.
    tracker.set_metadata("a", "1").unwrap();
    assert!(tracker.delete_file("/src/0.c").unwrap());
    drop(tracker);
    let again = report_over(&store, consumer, 0).unwrap();
    assert!(again.starts_with("files=4 symbols=8 cli=1 deleted=false found=/src/1.c"), "{again}");
}

/// The large ones: components with an interpreter inside.
fn large(language: Language) {
    if !long() {
        eprintln!("SKIPPED: the consumer in {language:?} is large; the long form builds and runs it (TRACKER_LONG)");
        return;
    }
    let Some(tools) = tools(language) else { return };
    let dir = tempfile::tempdir().unwrap();
    let consumer = component(language, &tools, dir.path()).unwrap();
    figure(&format!("bytes of the consumer in {language:?}"), consumer.len());
    let (_dir, path) = composed(&consumer);
    for files in [0, 7] {
        assert_eq!(run(&tools, &path, files).unwrap(), expected(files));
    }
}

#[test]
fn a_consumer_in_python_runs_in_the_stock_command() {
    large(Language::Python);
}

#[test]
fn a_consumer_in_javascript_runs_in_the_stock_command() {
    large(Language::Js);
}

#[test]
fn the_expected_report_is_what_the_host_counts() {
    let mut tracker = support::in_memory();
    for number in 0..7u32 {
        let contexts: &[String] = if number % 3 == 0 { &["context:cli".into()] } else { &[] };
        tracker.upsert_file(&format!("/src/{number}.c"), 1.7e9, 1, "", 0, 1, u64::from(number), contexts).unwrap();
    }
    let in_context = tracker.files_by_context("context:cli", 100).count();
    assert!(expected(7).starts_with(&format!("files={} symbols=14 cli={in_context} ", tracker.file_count().unwrap())));
}
