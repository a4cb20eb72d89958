//! The plugin way: tools with a wasmtime of their own, sync and async; and
//! components that are exchanged while a store is open.

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::thread;

use tempfile::TempDir;
use tracker_host::clock;
use tracker_host::store::lmdb::{self, Environment};
use tracker_host::store::memory::Memory;
use tracker_host::store::{
    self, Engine as _, Handle, Limits, StoreCtx, StoreError, StoreHostView, StoreView, Transaction, packed,
};
use tracker_host::{ComponentError, ComponentSource, Error, TRACKER_WASM, Tracker};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};

use crate::support::engines::artifact;
use crate::support::{Fresh, fresh, ticking};

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../../host/examples/plugin.rs"]
mod example;

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../../host/examples/plugin_async.rs"]
mod example_async;

#[allow(missing_docs)]
mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "tracker-component", exports: { default: async } });
}
use bindings::TrackerComponent;
use bindings::exports::galaxybrain::tracker::tracker::Error as WitError;
use bindings::exports::galaxybrain::tracker::types::FileUpsert;
use bindings::galaxybrain::tracker::store::Error as WitStoreError;

/// Where the examples put their stores, and what they load.
fn places() -> (String, TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store").to_str().unwrap().to_owned();
    (artifact("tracker.wasm").to_str().unwrap().to_owned(), dir, store)
}

#[test]
fn the_example_of_a_tool_calls_typed_and_untyped() {
    let (component, _dir, store) = places();
    let said = example::run(&component, &store).unwrap();
    assert_eq!(said, "typed: Some(120), untyped: [Result(Ok(Some(U64(1))))]");
    // The host's own library reads what the plugin wrote.
    let file = Tracker::open(&store).unwrap().get_file("/src/a.rs").unwrap().unwrap();
    assert_eq!((file.size, file.detected_contexts), (120, vec!["context:cli".to_owned()]));
}

#[test]
fn the_example_of_an_async_tool_gives_way_and_commits() {
    let (component, _dir, store) = places();
    let (files, turns) = example_async::run(&component, &store).unwrap();
    assert_eq!(files, 10_000);
    assert!(turns > 0, "no other task ran");
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(tracker.file_count().unwrap(), 10_000);
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

struct Tool {
    store: StoreCtx,
    resources: ResourceTable,
}

impl StoreHostView for Tool {
    fn store(&mut self) -> StoreView<'_> {
        StoreView { ctx: &mut self.store, resources: &mut self.resources }
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls until it is done.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
    }
}

/// An environment that tells when a write transaction is begun.
struct Watched {
    environment: Environment,
    writing: AtomicBool,
}

impl Watched {
    fn open(dir: &TempDir) -> Arc<Self> {
        let environment = Environment::open(dir.path(), lmdb::Options::default()).unwrap();
        Arc::new(Watched { environment, writing: AtomicBool::new(false) })
    }

    /// Polls the call until it has begun its write transaction, and some more.
    fn poll_into_writing<F: Future>(&self, mut call: Pin<&mut F>) {
        self.writing.store(false, Ordering::Relaxed);
        let mut more = 0;
        while more < 100 {
            assert!(poll_once(call.as_mut()).is_pending(), "it does not give way while it writes");
            more += u32::from(self.writing.load(Ordering::Relaxed));
        }
    }
}

impl store::Engine for Watched {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        self.environment.open_tables(names)
    }
    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.environment.begin_read()
    }
    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let begun = self.environment.begin_write()?;
        self.writing.store(true, Ordering::Relaxed);
        Ok(begun)
    }
    fn max_key_size(&self) -> u32 {
        self.environment.max_key_size()
    }
}

/// An instance that gives way wherever it can.
fn yielding(backing: Arc<dyn store::Engine>) -> (Store<Tool>, TrackerComponent) {
    static COMPILED: LazyLock<(Engine, Component)> = LazyLock::new(|| {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let component = Component::new(&engine, TRACKER_WASM).unwrap();
        (engine, component)
    });
    let (engine, component) = &*COMPILED;
    let mut linker = Linker::new(engine);
    store::add_to_linker::<Tool>(&mut linker).unwrap();
    clock::add_to_linker(&mut linker, ticking()).unwrap();
    let ctx = StoreCtx::new(backing, Limits::default());
    let mut store = Store::new(engine, Tool { store: ctx, resources: ResourceTable::new() });
    store.set_epoch_deadline(0);
    store.epoch_deadline_async_yield_and_update(0);
    let plugin = finish(TrackerComponent::instantiate_async(&mut store, component, &linker)).unwrap();
    (store, plugin)
}

fn files(number: i64) -> Vec<FileUpsert> {
    let file = |size: i64| FileUpsert {
        path: format!("/{size}"),
        mtime: 1.7e9,
        size,
        content_hash: String::new(),
        blob_offset: 0,
        blob_length: size,
        key_hash: size as u64,
        contexts: vec![],
    };
    (0..number).map(file).collect()
}

#[test]
fn a_call_that_gives_way_on_one_thread_is_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::open(&dir);
    let (mut store, plugin) = yielding(watched.clone());
    let tracker = plugin.galaxybrain_tracker_tracker();
    let (mut reader_store, reader) = yielding(watched.clone());
    let reader = reader.galaxybrain_tracker_tracker();
    finish(reader.call_file_count(&mut reader_store)).unwrap().unwrap();

    // Half-way a reader sees nothing of it, and another writer is refused, not kept waiting for its own thread.
    let files = files(20);
    let mut call = Box::pin(tracker.call_upsert_files(&mut store, &files));
    watched.poll_into_writing(call.as_mut());
    assert_eq!(finish(reader.call_file_count(&mut reader_store)).unwrap().unwrap(), 0);
    let refused = finish(reader.call_set_metadata(&mut reader_store, "a", "1")).unwrap();
    assert!(matches!(refused, Err(WitError::Store(WitStoreError::Closed))), "{refused:?}");

    finish(call).unwrap().unwrap();
    assert_eq!(finish(reader.call_file_count(&mut reader_store)).unwrap().unwrap(), 20);
    finish(reader.call_set_metadata(&mut reader_store, "a", "1")).unwrap().unwrap();
}

#[test]
fn a_call_that_wakes_up_on_another_thread_is_refused_and_hangs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::open(&dir);
    let (mut store, plugin) = yielding(watched.clone());
    let tracker = plugin.galaxybrain_tracker_tracker();
    let files = files(20);
    let mut call = Box::pin(tracker.call_upsert_files(&mut store, &files));
    watched.poll_into_writing(call.as_mut());
    let answer = thread::scope(|scope| scope.spawn(|| finish(call)).join().unwrap()).unwrap();
    assert!(matches!(answer, Err(WitError::Store(WitStoreError::Closed))), "{answer:?}");
    // Its own thread can write again, and nothing of the call is there.
    assert_eq!(finish(tracker.call_file_count(&mut store)).unwrap().unwrap(), 0);
    finish(tracker.call_upsert_files(&mut store, &files)).unwrap().unwrap();
}

#[test]
fn a_call_that_is_cancelled_leaves_nothing_and_lets_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::open(&dir);
    let (mut store, plugin) = yielding(watched.clone());
    let files = files(20);
    let mut call = Box::pin(plugin.galaxybrain_tracker_tracker().call_upsert_files(&mut store, &files));
    watched.poll_into_writing(call.as_mut());
    drop(call);
    assert_eq!(store.data().store.open_transactions(), 1);
    // Its transaction goes with its store.
    drop(store);
    let (mut store, plugin) = yielding(watched);
    let tracker = plugin.galaxybrain_tracker_tracker();
    assert_eq!(finish(tracker.call_file_count(&mut store)).unwrap().unwrap(), 0);
    finish(tracker.call_upsert_files(&mut store, &files)).unwrap().unwrap();
}

#[test]
fn an_async_tool_hands_whole_calls_and_batches_to_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut tracker = runtime.block_on(async move {
        for number in 0..4 {
            let batch = tokio::task::spawn_blocking(move || {
                let mut batch = tracker.batch()?;
                batch.set_metadata(&format!("{number}"), "1")?;
                batch.commit().map(|()| tracker)
            });
            tracker = batch.await.unwrap().unwrap();
        }
        tracker
    });
    for number in 0..4 {
        assert!(tracker.get_metadata(&format!("{number}")).unwrap().is_some());
    }
}

/// The component with another text in an error, as a newer version may have it.
fn newer(dir: &TempDir) -> ComponentSource {
    const OLD: &[u8] = b"mtime of ";
    let places: Vec<usize> =
        (0..TRACKER_WASM.len() - OLD.len()).filter(|at| &TRACKER_WASM[*at..*at + OLD.len()] == OLD).collect();
    let [place] = places[..] else { panic!("the text is {} times in the component", places.len()) };
    let mut bytes = TRACKER_WASM.to_vec();
    bytes[place..place + OLD.len()].copy_from_slice(b"MTIME of ");
    file(dir, "newer.wasm", &bytes)
}

fn file(dir: &TempDir, name: &str, bytes: &[u8]) -> ComponentSource {
    let path: PathBuf = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    ComponentSource::File(path)
}

/// Which of the two components answers.
fn is_newer(tracker: &mut Tracker) -> bool {
    let answer = tracker.upsert_file("/a", f64::NAN, 0, "", 0, 0, 0, &[]);
    let Err(Error::InvalidArgument(text)) = answer else { panic!("{answer:?}") };
    assert!(text.to_lowercase().starts_with("mtime of "), "{text}");
    text.starts_with("MTIME")
}

#[test]
fn a_newer_component_takes_over_an_open_store_in_all_sessions() {
    let mut fresh = fresh();
    let tracker = &mut fresh.tracker;
    let mut other = tracker.try_clone().unwrap();
    tracker.set_metadata("a", "1").unwrap();
    let mut snapshot = tracker.snapshot().unwrap();
    assert!(!is_newer(tracker) && !is_newer(&mut other));

    tracker.replace_component(&newer(&fresh.dir)).unwrap();
    assert!(is_newer(tracker) && is_newer(&mut other));
    assert!(is_newer(&mut tracker.try_clone().unwrap()));
    assert_eq!(other.get_metadata("a").unwrap().as_deref(), Some("1"));
    assert_eq!(tracker.functions().len(), other.functions().len());
    tracker.set_metadata("a", "2").unwrap();
    assert_eq!(snapshot.get_metadata("a").unwrap().as_deref(), Some("1"));

    // And back again, by any session.
    other.replace_component(&ComponentSource::Embedded).unwrap();
    assert!(!is_newer(tracker) && !is_newer(&mut other));
}

#[test]
fn a_batch_ends_with_the_component_that_it_began_with() {
    let mut fresh = fresh();
    let other = fresh.tracker.try_clone().unwrap();
    let source = newer(&fresh.dir);
    let mut batch = fresh.tracker.batch().unwrap();
    batch.set_metadata("a", "1").unwrap();
    other.replace_component(&source).unwrap();
    assert!(!is_newer(&mut batch));
    batch.set_metadata("b", "2").unwrap();
    batch.commit().unwrap();
    assert!(is_newer(&mut fresh.tracker));
    for key in ["a", "b"] {
        assert!(fresh.tracker.get_metadata(key).unwrap().is_some());
    }
    // A batch that begins after the exchange has the newer one from its first call.
    other.replace_component(&ComponentSource::Embedded).unwrap();
    let mut batch = fresh.tracker.batch().unwrap();
    assert!(!is_newer(&mut batch));
}

#[test]
fn sessions_on_other_threads_lose_no_call_to_an_exchange() {
    let mut fresh = fresh();
    let source = newer(&fresh.dir);
    let tracker = &mut fresh.tracker;
    let mut sessions: Vec<Tracker> = (0..3).map(|_| tracker.try_clone().unwrap()).collect();
    let calls = 60;
    thread::scope(|scope| {
        for (thread, session) in sessions.iter_mut().enumerate() {
            scope.spawn(move || {
                for call in 0..calls {
                    let key = format!("{thread}/{call}");
                    session.set_metadata(&key, "1").unwrap();
                    assert!(session.get_metadata(&key).unwrap().is_some());
                }
            });
        }
        for round in 0..6 {
            let source = if round % 2 == 0 { &source } else { &ComponentSource::Embedded };
            tracker.replace_component(source).unwrap();
        }
    });
    for (thread, session) in sessions.iter_mut().enumerate() {
        for call in 0..calls {
            assert!(session.get_metadata(&format!("{thread}/{call}")).unwrap().is_some());
        }
    }
}

#[test]
fn a_component_that_does_not_fit_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Memory::new());
    let mut tracker = Tracker::over(":memory:", engine.clone()).clock(ticking()).open().unwrap();
    tracker.set_metadata("a", "1").unwrap();

    let missing = ComponentSource::File(dir.path().join("missing.wasm"));
    let broken = file(&dir, "broken.wasm", &TRACKER_WASM[..TRACKER_WASM.len() / 2]);
    let another = file(&dir, "another.wasm", tracker_artifacts::MEMORY_WASM);
    type Check = fn(&Error) -> bool;
    let cases: [(ComponentSource, Check); 3] = [
        (missing, |error| matches!(error, Error::Component(ComponentError::Read { .. }))),
        (broken, |error| matches!(error, Error::Component(ComponentError::Compile { .. }))),
        (another, |error| matches!(error, Error::Component(ComponentError::NotATracker { .. }))),
    ];
    for (source, expected) in cases {
        let error = tracker.replace_component(&source).unwrap_err();
        assert!(expected(&error), "{source}: {error:?}");
        assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("1"));
    }

    // One that does not know the store's format: here the store is of a later one.
    let tables = engine.open_tables(&["files".into(), "meta".into()]).unwrap();
    let mut ops = Vec::new();
    packed::push_op(packed::Op::Put { table: 1, key: b"format", value: &99u64.to_be_bytes() }, &mut ops);
    let mut txn = engine.begin_write().unwrap();
    txn.write(&ops, &tables).unwrap();
    txn.commit().unwrap();
    let error = tracker.replace_component(&newer(&dir)).unwrap_err();
    assert!(matches!(error, Error::Incompatible(_)), "{error:?}");
    assert!(!is_newer(&mut tracker));
}

#[test]
fn a_foreign_tool_has_two_components_on_one_environment() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::open(&dir);
    let (mut old_store, old) = yielding(watched.clone());
    finish(old.galaxybrain_tracker_tracker().call_set_metadata(&mut old_store, "a", "1")).unwrap().unwrap();
    // The newer instance is there before the old one goes.
    let (mut store, plugin) = yielding(watched);
    let read = |store: &mut Store<Tool>, plugin: &TrackerComponent| {
        finish(plugin.galaxybrain_tracker_tracker().call_get_metadata(store, "a")).unwrap().unwrap()
    };
    assert_eq!(read(&mut store, &plugin).as_deref(), Some("1"));
    finish(plugin.galaxybrain_tracker_tracker().call_set_metadata(&mut store, "a", "2")).unwrap().unwrap();
    assert_eq!(read(&mut old_store, &old).as_deref(), Some("2"));
    drop((old, old_store));
    assert_eq!(read(&mut store, &plugin).as_deref(), Some("2"));
}
