//! Hostile components and the `host` command: one line, exit code 1, and the
//! store is as it was.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::guest::{ANSWER, DATA, File, Guest, data};

fn host(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Calls a function of a component.
fn call(store: &Path, component: &File, call: &str, options: &[&str]) -> Output {
    let (store, component) = (store.to_str().unwrap(), component.path());
    let arguments = ["call", store, call, "--component", component.to_str().unwrap(), "--no-cache"];
    host(&[&arguments[..], options].concat())
}

/// The one line that a failed command prints.
fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.lines().count() == 1 && text.starts_with("error: "), "{text}");
    text
}

#[test]
fn the_command_ends_with_a_line_that_says_what_the_component_did() {
    let dir = tempfile::tempdir().unwrap();
    ends_with_a_line(&dir.path().join("store"));
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn so_it_does_over_a_server() {
    if let Some(namespace) = crate::support::postgres::Namespace::new() {
        ends_with_a_line(Path::new(&namespace.url));
    }
}

fn ends_with_a_line(store: &Path) {
    let made = host(&["call", store.to_str().unwrap(), "set-metadata(\"a\", \"1\")", "--create"]);
    assert!(made.status.success(), "{made:?}");

    let hostile = b"\x1b[2J\nerror: \0 and on";
    let refusal: Vec<u8> = [1, 0, 0, 0, DATA, hostile.len() as u32].into_iter().flat_map(u32::to_le_bytes).collect();
    let version = ("package galaxybrain:tracker@0.1.0;", "package galaxybrain:tracker@0.9.0;");
    let filesystem = ("import store;", "import store;\n    import wasi:filesystem/types@0.2.6;");
    let unlink = r#"(import "wasi:filesystem/types@0.2.6" "unlink-file-at" (func (param i32 i32)))"#;
    let loops = Guest::new().reads("(call $open) (call $write) (call $put) (call $spin) unreachable").file();
    let grows =
        Guest::new().reads("(loop (br_if 0 (i32.ge_s (memory.grow (i32.const 100)) (i32.const 0)))) unreachable");
    let says = Guest::new().with(data(ANSWER, &refusal)).with(data(DATA, hostile));
    let cases: [(File, &[&str], &str); 8] = [
        (loops, &["--deadline", "1"], "the call was ended after 1s; allow more time (--deadline)"),
        (grows.file(), &["--memory", "16MiB"], "more than 16777216 bytes of memory; allow more (--memory)"),
        (Guest::new().reads("unreachable").file(), &[], "get-metadata failed: the component failed"),
        (says.reads(format!("(i32.const {ANSWER})")).file(), &[], "invalid argument: \\u{1b}[2J error: \\u{0} and on"),
        (Guest::new().wit(&[version]).file(), &[], "was built against galaxybrain:tracker/store@0.9.0"),
        (Guest::new().wit(&[filesystem]).importing(unlink).file(), &[], "imports wasi:filesystem/types@0.2.6"),
        (File::new(b"garbage"), &[], "is not a component that can be compiled"),
        (Guest::new().file(), &["--component-size", "1KiB"], "has more than 1024 bytes"),
    ];
    for (component, options, expected) in &cases {
        let text = error(&call(store, component, "get-metadata(\"a\")", options));
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }

    // Nothing of all that is in the store.
    let output = host(&["call", store.to_str().unwrap(), "get-metadata(\"a\")"]);
    assert_eq!(output.stdout, b"some(\"1\")\n", "{output:?}");
    assert_eq!(host(&["verify", store.to_str().unwrap()]).status.code(), Some(0));
}

#[test]
fn what_a_component_answers_is_printed_as_text_and_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    // A file whose times are no numbers, and a function that gives out a handle.
    let mut record = vec![0; 136];
    record[8] = 1;
    record[24..32].copy_from_slice(&f64::NAN.to_le_bytes());
    let guest = Guest::new()
        .wit(&[
            ("begin-batch: func()", "leak: func() -> transaction;\n begin-batch: func()"),
            ("use store.{error as store-error}", "use store.{error as store-error, transaction}"),
        ])
        .function("leak", "(call $open) (call $read) (global.get $txn)")
        .with(data(ANSWER, &record))
        .function("get-file", format!("(i32.const {ANSWER})"))
        .file();
    let output = call(&store, &guest, "get-file(\"a\")", &["--create", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["mtime"], "nan");
    assert!(error(&call(&store, &guest, "leak()", &[])).contains("there is no function \"leak\""));
}
