//! The files that other tools load.

use std::path::Path;
use std::process::{Command, Output};

use tracker_host::clock;
use tracker_host::wasmtime::component::{Component, Linker, Val};
use tracker_host::wasmtime::{Engine, Store};
use tracker_host::{TRACKER_WASM, engine_config};

use crate::support::engines::artifact;
use crate::support::{self, ticking};

const TRACKER: &str = "galaxybrain:tracker/tracker@0.1.0";

fn names<'a>(items: impl Iterator<Item = (&'a str, impl Sized)>) -> Vec<&'a str> {
    let mut names: Vec<&str> = items.map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_written_component_is_the_one_that_the_host_embeds() {
    let written = std::fs::read(artifact("tracker.wasm")).unwrap();
    assert!(written == TRACKER_WASM, "tracker.wasm differs from the embedded component");
    // It is in the composed one byte for byte.
    let composed = std::fs::read(artifact("tracker-memory.wasm")).unwrap();
    let inside = composed.windows(TRACKER_WASM.len()).filter(|window| *window == TRACKER_WASM).count();
    assert_eq!(inside, 1);
    for name in ["tracker.wasm", "tracker.wit.wasm", "tracker-memory.wasm"] {
        support::figure(&format!("bytes of {name}"), std::fs::metadata(artifact(name)).unwrap().len());
    }
}

#[test]
fn the_composed_component_asks_for_the_time_of_day_alone() {
    let engine = Engine::new(&engine_config()).unwrap();
    let component = Component::from_file(&engine, artifact("tracker-memory.wasm")).unwrap();
    let ty = component.component_type();
    assert_eq!(names(ty.imports(&engine)), ["wasi:clocks/wall-clock@0.2.6"]);
    assert_eq!(names(ty.exports(&engine)), [TRACKER, "galaxybrain:tracker/types@0.1.0"]);
}

#[test]
fn the_composed_component_runs_without_the_store_adapter() {
    let engine = Engine::new(&engine_config()).unwrap();
    let component = Component::from_file(&engine, artifact("tracker-memory.wasm")).unwrap();
    let mut linker = Linker::new(&engine);
    clock::add_to_linker(&mut linker, ticking()).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let interface = instance.get_export_index(&mut store, None, TRACKER).unwrap();
    let mut call = |name: &str, arguments: &[Val]| {
        let index = instance.get_export_index(&mut store, Some(&interface), name).unwrap();
        let function = instance.get_func(&mut store, index).unwrap();
        let mut answer = [Val::Bool(false)];
        function.call(&mut store, arguments, &mut answer).unwrap();
        let [answer] = answer;
        answer
    };
    let text = |text: &str| Val::String(text.into());
    let ok = |value: Option<Val>| Val::Result(Ok(value.map(Box::new)));
    let get = [text("a")];
    call("begin-batch", &[]);
    call("set-metadata", &[text("a"), text("1")]);
    assert_eq!(call("get-metadata", &get), ok(Some(Val::Option(Some(Box::new(text("1")))))));
    assert_eq!(call("abort-batch", &[]), ok(None));
    assert_eq!(call("get-metadata", &get), ok(Some(Val::Option(None))));
    assert_eq!(call("set-metadata", &[text("a"), text("2")]), ok(None));
    assert_eq!(call("get-metadata", &get), ok(Some(Val::Option(Some(Box::new(text("2")))))));
}

#[test]
fn the_wit_package_is_what_the_wit_files_say() {
    use wit_component::DecodedWasm;
    let bytes = std::fs::read(artifact("tracker.wit.wasm")).unwrap();
    let decoded = wit_component::decode(&bytes).unwrap();
    let DecodedWasm::WitPackage(resolve, package) = &decoded else { panic!("it is a component") };
    let package = &resolve.packages[*package];
    assert_eq!(package.name.to_string(), "galaxybrain:tracker@0.1.0");
    let mut interfaces: Vec<_> = package.interfaces.keys().collect();
    interfaces.sort();
    assert_eq!(interfaces, ["store", "tracker", "types"]);
    let functions = &resolve.interfaces[package.interfaces["tracker"]].functions;
    assert_eq!(functions.len(), support::in_memory().functions().len());
    // With the documentation, which is the contract.
    let documented = functions["get-file"].docs.contents.as_deref();
    assert_eq!(documented, Some("The file with this path."));
}

/// The stock command of `tests/setup.sh`; none, said aloud, where it is not.
fn wasmtime() -> Option<Command> {
    let python = std::env::var_os("TRACKER_PYTHON");
    let command = python.and_then(|python| Some(Path::new(&python).parent()?.join("wasmtime")));
    let command = command.filter(|command| command.is_file());
    support::present("wasmtime", command.is_some(), "run tests/setup.sh and set TRACKER_PYTHON to what it prints");
    command.map(Command::new)
}

fn invoke(component: &Path, call: &str) -> Option<Output> {
    let mut wasmtime = wasmtime()?;
    Some(wasmtime.args(["run", "--invoke", call]).arg(component).output().unwrap())
}

#[test]
fn the_stock_wasmtime_command_calls_the_composed_component() {
    let component = artifact("tracker-memory.wasm");
    let answer = |call| {
        let output = invoke(&component, call)?;
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let Some(file) = answer(r#"get-file("x")"#) else { return };
    assert_eq!(file.trim(), "ok(none)");
    assert_eq!(answer("file-count()").unwrap().trim(), "ok(0)");
    // An instance that writes finds what it wrote.
    let id = answer(r#"upsert-symbol("/a", "f", "function", 1, none, 0, 1, 7)"#);
    assert_eq!(id.unwrap().trim(), "ok(1)");
    let fails = invoke(&component, r#"upsert-file("/a", nan, 1, "", 0, 1, 1, [])"#).unwrap();
    let said = String::from_utf8_lossy(&fails.stdout);
    assert!(said.trim().starts_with("err(invalid-argument("), "{fails:?}");
}
