//! Components of the tracker's world that a test writes a few instructions of.
//!
//! The rest is generated from `wit/`: every function that is not written answers
//! ok with nothing in it (none, an empty list, 0), which is a run of zero bytes
//! for all of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;
use tracker_host::ComponentSource;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldId, WorldItem};

/// Addresses in the guest's memory: zero bytes, which are an answer; a result to
/// return; what data a test adds. Imports put their results at 16384, and
/// allocations begin at 65536.
pub const NOTHING: u32 = 1024;
pub const ANSWER: u32 = 16512;
pub const DATA: u32 = 17408;

/// What there is to import, to allocate with, and to say often.
const PRELUDE: &str = r#"
  (import "galaxybrain:tracker/store@0.1.0" "open" (func $store.open (param i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "get" (func $store.get (param i32 i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[static]transaction.begin" (func $store.begin (param i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[method]transaction.get" (func $txn.get (param i32 i32 i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[method]transaction.get-many" (func $txn.get-many (param i32 i32 i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[method]transaction.scan" (func $txn.scan (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[method]transaction.count" (func $txn.count (param i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[method]transaction.write" (func $txn.write (param i32 i32 i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[static]transaction.commit" (func $txn.commit (param i32 i32)))
  (import "galaxybrain:tracker/store@0.1.0" "[resource-drop]transaction" (func $txn.drop (param i32)))
  (import "wasi:clocks/wall-clock@0.2.6" "now" (func $clock.now (param i32)))

  (global $heap (mut i32) (i32.const 65536))
  (global $txn (mut i32) (i32.const 0))
  ;; The names of the tracker's table of files, and of one of the guest's own.
  (data (i32.const 16640) "\40\41\00\00\05\00\00\00" "\48\41\00\00\04\00\00\00")
  (data (i32.const 16704) "files" "\00\00\00" "evil")
  (func $open
    (call $store.open (i32.const 16640) (i32.const 2) (i32.const 16384))
    (call $must))
  ;; Traps unless the last import answered ok.
  (func $must
    (if (i32.load8_u (i32.const 16384)) (then unreachable)))
  ;; Begins a transaction and keeps its handle.
  (func $read
    (call $store.begin (i32.const 0) (i32.const 16384)) (call $must)
    (global.set $txn (i32.load (i32.const 16392))))
  (func $write
    (call $store.begin (i32.const 1) (i32.const 16384)) (call $must)
    (global.set $txn (i32.load (i32.const 16392))))
  ;; Puts "kept" -> "evil" into the guest's own table, and into the tracker's of files.
  (data (i32.const 16768) "\00\01\00\04\00\00\00\04\00\00\00" "kept" "evil")
  (data (i32.const 16800) "\00\00\00\04\00\00\00\04\00\00\00" "kept" "evil")
  (func $put
    (call $txn.write (global.get $txn) (i32.const 16768) (i32.const 19) (i32.const 16384)) (call $must)
    (call $txn.write (global.get $txn) (i32.const 16800) (i32.const 19) (i32.const 16384)) (call $must))
  (func $spin (loop (br 0)))
  ;; Hands the error of the last import on, as `store(error)`.
  (func $pass-on (result i32)
    (i32.store (i32.const 16512) (i32.const 1))
    (i32.store (i32.const 16520) (i32.const 4))
    (memory.copy (i32.const 16528) (i32.const 16392) (i32.const 16))
    (i32.const 16512))
  ;; Answers ok with a number.
  (func $number (param i64) (result i32)
    (i32.store (i32.const 16512) (i32.const 0))
    (i64.store (i32.const 16520) (local.get 0))
    (i32.const 16512))
"#;

/// Bump allocation, which grows the memory as needed.
const REALLOC: &str = r#"
    (local.set $x (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $x) (local.get 3)))
    (block (loop
      (br_if 1 (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (br_if 0 (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))
      unreachable))
    (local.get $x)
"#;

const INTERFACE: &str = "galaxybrain:tracker/tracker@0.1.0";

/// A package of interfaces, and the world in it.
#[derive(Clone)]
pub struct Wit {
    resolve: Resolve,
    world: WorldId,
    /// The version of the package.
    version: String,
}

impl Wit {
    /// That of this repository.
    pub fn own() -> Self {
        static OWN: LazyLock<Wit> = LazyLock::new(|| Wit::edited(&[]));
        OWN.clone()
    }

    /// The same with texts of its files replaced by others. Each has to be there.
    pub fn edited(edits: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut made = vec![false; edits.len()];
        let mut copy = |from: &Path, to: &Path| {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
                let mut text = std::fs::read_to_string(entry.path()).unwrap();
                for ((old, new), made) in edits.iter().zip(&mut made) {
                    *made |= text.contains(old);
                    text = text.replace(old, new);
                }
                std::fs::write(to.join(entry.file_name()), text).unwrap();
            }
        };
        let own = crate::support::data::repository().join("wit");
        copy(&own, dir.path());
        copy(&own.join("deps/clocks"), &dir.path().join("deps/clocks"));
        assert!(made.iter().all(|made| *made), "{edits:?}");
        // What a component might like to import besides.
        let more = dir.path().join("deps/filesystem");
        std::fs::create_dir_all(&more).unwrap();
        let filesystem = "package wasi:filesystem@0.2.6;\ninterface types { unlink-file-at: func(path: string); }\n";
        std::fs::write(more.join("types.wit"), filesystem).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(dir.path()).unwrap();
        let world = resolve.select_world(&[package], Some("tracker-component")).unwrap();
        let version = resolve.packages[package].name.version.as_ref().unwrap().to_string();
        Wit { resolve, world, version }
    }
}

/// A component under construction.
#[derive(Clone)]
pub struct Guest {
    functions: Vec<(&'static str, String)>,
    imports: String,
    items: String,
    memory: String,
    realloc: String,
    after: String,
    wit: Wit,
}

impl Guest {
    /// One that answers nothing to everything.
    pub fn new() -> Self {
        Guest {
            functions: Vec::new(),
            imports: String::new(),
            items: String::new(),
            memory: "2".into(),
            realloc: REALLOC.into(),
            after: String::new(),
            wit: Wit::own(),
        }
    }

    /// What a function does: instructions. Parameters are `local.get 0` and on;
    /// `$x`, `$y`, `$z` are variables (i32).
    pub fn function(mut self, name: &'static str, body: impl Into<String>) -> Self {
        self.functions.retain(|(known, _)| *known != name);
        self.functions.push((name, body.into()));
        self
    }

    /// The same for the two that tests call: one that reads, one that writes.
    pub fn reads(self, body: impl Into<String>) -> Self {
        self.function("get-metadata", body)
    }

    pub fn writes(self, body: impl Into<String>) -> Self {
        self.function("set-metadata", body)
    }

    /// More of the core module: functions, data, tables, a start function.
    pub fn with(mut self, items: impl AsRef<str>) -> Self {
        self.items.push_str(items.as_ref());
        self
    }

    /// More that it imports.
    pub fn importing(mut self, imports: &str) -> Self {
        self.imports.push_str(imports);
        self
    }

    /// The limits of the memory, in pages.
    pub fn memory(mut self, limits: &str) -> Self {
        self.memory = limits.into();
        self
    }

    /// The interfaces that it is built against.
    pub fn wit(mut self, edits: &[(&str, &str)]) -> Self {
        self.wit = Wit::edited(edits);
        self
    }

    /// What `cabi_realloc` does.
    pub fn realloc(mut self, body: &str) -> Self {
        self.realloc = body.into();
        self
    }

    /// What the function that frees the answers of `get-metadata` does.
    pub fn after_reading(mut self, body: &str) -> Self {
        self.after = format!("(func (export \"cabi_post_{INTERFACE}#get-metadata\") (param i32) {body})\n");
        self
    }

    /// The core module, without what makes it a component.
    pub fn module(&self) -> Vec<u8> {
        let Guest { memory, realloc, after, imports, items, .. } = self;
        let Wit { resolve, world, version } = &self.wit;
        let locals = "(local $x i32) (local $y i32) (local $z i32)";
        let mut wat = format!("(module {imports} {PRELUDE}\n(memory (export \"memory\") {memory})\n{items}\n{after}\n");
        let realloc = format!("(param i32 i32 i32 i32) (result i32) {locals} {realloc}");
        writeln!(wat, "(func $realloc (export \"cabi_realloc\") {realloc})").unwrap();
        for item in resolve.worlds[*world].exports.values() {
            let WorldItem::Interface { id, .. } = item else { panic!("the world exports interfaces") };
            for (name, function) in &resolve.interfaces[*id].functions {
                let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
                let written = self.functions.iter().find(|(written, _)| written == name);
                let body = match written {
                    Some((_, body)) => body.clone(),
                    None => {
                        assert!(signature.retptr, "{name} does not return a result");
                        format!("(i32.const {NOTHING})")
                    }
                };
                let list = |types: &[WasmType]| types.iter().map(core_type).collect::<Vec<_>>().join(" ");
                let (params, results) = (list(&signature.params), list(&signature.results));
                let function = format!("(param {params}) (result {results}) {locals} {body}");
                writeln!(wat, "(func (export \"{INTERFACE}#{name}\") {function})").unwrap();
            }
        }
        wat.push(')');
        let wat = wat.replace("tracker@0.1.0", &format!("tracker@{version}"));
        let wat = wat.replace("store@0.1.0", &format!("store@{version}"));
        wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let mut module = self.module();
        let Wit { resolve, world, .. } = &self.wit;
        embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8, false).unwrap();
        ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
    }

    /// The component as a file.
    pub fn file(&self) -> File {
        File::new(&self.component())
    }
}

fn core_type(ty: &WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// Bytes as a data segment.
pub fn data(address: u32, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {address}) \"{escaped}\")\n")
}

/// A component's file, as long as it is held.
pub struct File {
    dir: TempDir,
}

impl File {
    pub fn new(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("evil.wasm"), bytes).unwrap();
        File { dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("evil.wasm")
    }

    pub fn source(&self) -> ComponentSource {
        ComponentSource::File(self.path())
    }
}
