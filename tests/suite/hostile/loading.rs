//! What is no tracker component, and components that want more than they may.

use std::fs::OpenOptions;

use tracker_host::wasmtime::component::Component;
use tracker_host::{ComponentError, ComponentSource, Error, Limits, TRACKER_WASM};

use super::guest::{File, Guest};
use super::scene::{Scene, limits, over_every_engine, said};

over_every_engine!(
    a_component_that_imports_more_than_it_may_is_refused_by_name,
    a_component_of_another_version_is_refused_with_both_versions,
    a_component_without_a_function_or_with_one_of_another_type_is_refused,
    what_is_no_component_is_refused,
    a_component_that_traps_when_it_is_started_or_first_called_is_refused,
    an_enormous_file_is_refused_without_being_read,
    components_nested_in_components_do_not_exhaust_the_stack,
    a_small_file_does_not_unfold_to_a_billion_instances,
);

fn component_error(error: &Error) -> &ComponentError {
    let Error::Component(error) = error else { panic!("{error:?}") };
    error
}

fn a_component_that_imports_more_than_it_may_is_refused_by_name(mut scene: Scene) {
    for (line, name, wat) in [
        (
            "import wasi:filesystem/types@0.2.6;",
            "wasi:filesystem/types@0.2.6",
            r#"(import "wasi:filesystem/types@0.2.6" "unlink-file-at" (func (param i32 i32)))"#,
        ),
        (
            "import environment: interface { get: func() -> list<string>; }",
            "environment",
            r#"(import "environment" "get" (func (param i32)))"#,
        ),
        ("import exit: func();", "exit", r#"(import "$root" "exit" (func))"#),
    ] {
        let guest = Guest::new().wit(&[("import store;", &format!("import store;\n    {line}"))]).importing(wat);
        let error = scene.refused(&guest.component(), Limits::default());
        assert!(
            matches!(component_error(&error), ComponentError::Import { import, .. } if import == name),
            "{error:?}"
        );
        assert!(said(&error).contains(&format!("imports {name}, which it is not given")), "{}", said(&error));
    }
}

fn a_component_of_another_version_is_refused_with_both_versions(mut scene: Scene) {
    for version in ["0.2.0", "1.0.0"] {
        let package = format!("package galaxybrain:tracker@{version};");
        let guest = Guest::new().wit(&[("package galaxybrain:tracker@0.1.0;", &package)]);
        let error = scene.refused(&guest.component(), Limits::default());
        assert!(matches!(component_error(&error), ComponentError::Version { .. }), "{error:?}");
        let text = said(&error);
        assert!(text.contains(&format!("@{version}")) && text.contains("galaxybrain:tracker/store@0.1.0"), "{text}");
    }
}

fn a_component_without_a_function_or_with_one_of_another_type_is_refused(mut scene: Scene) {
    for (edit, with) in [
        (" file-count: func() -> result<u64, error>;", ""),
        (" file-count: func() -> result<u64, error>;", " file-count: func() -> result<string, error>;"),
        (" file-count: func() -> result<u64, error>;", " file-count: func(a: u32) -> result<u64, error>;"),
        // One whose answers are lifted by hand; and a record with another field.
        ("get-recent-files: func(limit: u32) ->", "get-recent-files: func(limit: s32) ->"),
        (" is-team: bool,", " is-crew: bool,"),
    ] {
        let error = scene.refused(&Guest::new().wit(&[(edit, with)]).component(), Limits::default());
        assert!(matches!(component_error(&error), ComponentError::NotATracker { .. }), "{edit}: {error:?}");
    }
}

fn what_is_no_component_is_refused(mut scene: Scene) {
    let cases: [&[u8]; 6] = [
        b"",
        b"\0asm",
        b"garbage",
        &[0x5a; 100_000],
        &TRACKER_WASM[..TRACKER_WASM.len() - 1000],
        // A core module.
        &Guest::new().module(),
    ];
    for bytes in cases {
        let error = scene.refused(bytes, Limits::default());
        assert!(matches!(component_error(&error), ComponentError::Compile { .. }), "{error:?}");
        assert!(said(&error).contains("evil.wasm is not a component"), "{}", said(&error));
    }
    // A component without anything in it.
    let error = scene.refused(b"\0asm\x0d\0\x01\0", Limits::default());
    assert!(matches!(component_error(&error), ComponentError::NotATracker { .. }), "{error:?}");
    // What wasm has and this host does not: memory that threads share.
    let shared = Guest::new().memory("2 10 shared").module();
    assert!(Component::new(&tracker_host::wasmtime::Engine::default(), shared).is_err());
    let dir = tempfile::tempdir().unwrap();
    let folder = ComponentSource::File(dir.path().to_owned());
    let error = scene.options().component(folder).open().map(drop).unwrap_err();
    assert!(matches!(component_error(&error), ComponentError::Read { .. }), "{error:?}");
}

fn a_component_that_traps_when_it_is_started_or_first_called_is_refused(mut scene: Scene) {
    for guest in [
        Guest::new().with("(func $go unreachable) (start $go)"),
        Guest::new().function("get-import-state", "unreachable"),
        // It writes at once, and there is nothing that can be written to yet.
        Guest::new().function("get-import-state", "(call $open) (call $write) (call $put) unreachable"),
    ] {
        let error = scene.refused(&guest.component(), Limits::default());
        assert!(matches!(&error, Error::Trap(_)) && said(&error).contains("unreachable"), "{error:?}");
    }
}

fn an_enormous_file_is_refused_without_being_read(scene: Scene) {
    let file = File::new(TRACKER_WASM);
    // A file with a hole: a terabyte.
    OpenOptions::new().write(true).open(file.path()).unwrap().set_len(1 << 40).unwrap();
    let open = |limits| scene.options().component(file.source()).limits(limits).open().map(drop).unwrap_err();
    let error = open(Limits::default());
    assert!(matches!(component_error(&error), ComponentError::TooLarge { max, .. } if *max == 64 << 20), "{error:?}");
    let error = open(limits(|limits| limits.component_size = 1000));
    assert!(matches!(component_error(&error), ComponentError::TooLarge { max: 1000, .. }), "{error:?}");
}

const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

/// A section of a component.
fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut length = body.len();
    let mut section = vec![id];
    while length >= 0x80 {
        section.push(length as u8 | 0x80);
        length >>= 7;
    }
    section.push(length as u8);
    section.extend(body);
    section
}

/// A component in a component in a component…
fn nested(depth: usize, more: &[u8]) -> Vec<u8> {
    let component = [PREAMBLE, more].concat();
    (0..depth).fold(component, |inner, _| [PREAMBLE, &section(4, &inner), more].concat())
}

fn components_nested_in_components_do_not_exhaust_the_stack(mut scene: Scene) {
    for depth in [10, 1000, 5000] {
        let error = scene.refused(&nested(depth, &[]), Limits::default());
        assert!(matches!(error, Error::Component(_)), "{depth}: {error:?}");
    }
}

fn a_small_file_does_not_unfold_to_a_billion_instances(mut scene: Scene) {
    // Each level makes a thousand instances of the one in it; the number is of two bytes.
    let thousand = section(5, &[&[0xe8, 0x07][..], &[0, 0, 0].repeat(1000)].concat());
    let bomb = [PREAMBLE, &section(4, &nested(2, &[])), &thousand].concat();
    let bomb = [PREAMBLE, &section(4, &bomb), &thousand].concat();
    let bomb = [PREAMBLE, &section(4, &bomb), &thousand].concat();
    let error = scene.refused(&bomb, Limits::default());
    assert!(matches!(component_error(&error), ComponentError::TooManyInstances { .. }), "{error:?}");
}
