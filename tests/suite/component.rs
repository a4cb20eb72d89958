//! What the component asks of its host.

use tracker_host::wasmtime::Engine;
use tracker_host::wasmtime::component::Component;
use tracker_host::{TRACKER_WASM, engine_config};

#[test]
fn the_component_imports_a_store_and_the_time_of_day_and_nothing_else() {
    let engine = Engine::new(&engine_config()).unwrap();
    let component = Component::new(&engine, TRACKER_WASM).unwrap();
    let ty = component.component_type();
    let mut imports: Vec<&str> = ty.imports(&engine).map(|(name, _)| name).collect();
    imports.sort_unstable();
    assert_eq!(imports, ["galaxybrain:tracker/store@0.1.0", "wasi:clocks/wall-clock@0.2.6"]);
    let mut exports: Vec<&str> = ty.exports(&engine).map(|(name, _)| name).collect();
    exports.sort_unstable();
    assert_eq!(exports, ["galaxybrain:tracker/tracker@0.1.0", "galaxybrain:tracker/types@0.1.0"]);
}

#[test]
fn the_guest_and_the_host_do_not_depend_on_each_other_and_only_the_adapter_names_lmdb() {
    let root = crate::support::data::repository();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert!(!read("guest/Cargo.toml").contains("host"));
    // Its tests know both.
    let host = read("host/Cargo.toml");
    let (shipped, tests) = host.split_once("[dev-dependencies]").unwrap();
    assert!(!shipped.contains("tracker-guest") && !tests.contains("dependencies]"));
    let mut files = vec![root.join("host/src")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let adapter = path.starts_with(root.join("host/src/store")) || path.ends_with("src/lend.rs");
        // A peer of the benchmark.
        let peer = path.starts_with(root.join("host/src/bench")) || path.ends_with("cli/bench.rs");
        assert!(adapter || peer || !text.contains("heed"), "{} names heed", path.display());
    }
}
