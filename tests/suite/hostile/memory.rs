//! Components that take more than they may.

use tracker_host::wasmtime::component::Val;
use tracker_host::{Error, Limits, Tracker};

use super::guest::Guest;
use super::scene::{Scene, limits, over_every_engine, read, said};

over_every_engine!(
    a_component_gets_no_more_memory_than_its_limit,
    all_memories_of_a_component_share_one_limit,
    a_component_that_begins_with_too_much_is_refused,
    function_tables_share_one_limit,
    endless_recursion_is_a_trap,
    the_host_copies_no_more_than_its_limit,
);

const MIB: usize = 1 << 20;

type Call = fn(&mut Tracker) -> Result<(), Error>;

fn of_memory(bytes: usize) -> Limits {
    limits(|limits| limits.memory = bytes)
}

/// Grows a memory by so many pages, or traps.
fn grow(memory: &str, pages: u32) -> String {
    format!("(if (i32.lt_s (memory.grow {memory} (i32.const {pages})) (i32.const 0)) (then unreachable))")
}

fn a_component_gets_no_more_memory_than_its_limit(mut scene: Scene) {
    let bomb = format!("(loop {} (br 0)) unreachable", grow("", 100));
    let cases: [(Guest, Call); 3] = [
        (Guest::new().reads(&*bomb), read),
        // When the host asks for room for an argument, and for what an import answers.
        (Guest::new().realloc(&bomb), read),
        (
            Guest::new().realloc(&bomb).function(
                "file-count",
                "(call $open) (call $write) (call $put)
                 (call $txn.get (global.get $txn) (i32.const 1) (i32.const 16779) (i32.const 4) (i32.const 16384))
                 unreachable",
            ),
            |session| session.file_count().map(drop),
        ),
    ];
    for (guest, call) in cases {
        let error = scene.fails(&guest, of_memory(16 * MIB), call);
        assert!(matches!(error, Error::OutOfMemory(bytes) if bytes == 16 * MIB), "{error:?}");
    }
    // An argument that is too large for it.
    let text = "x".repeat(20 * MIB);
    let error = scene.fails(&Guest::new(), of_memory(16 * MIB), |session| session.get_metadata(&text));
    assert!(matches!(error, Error::OutOfMemory(_)), "{error:?}");
}

fn all_memories_of_a_component_share_one_limit(mut scene: Scene) {
    let guest = Guest::new().with("(memory $b 0) (memory $c 0)");
    let two = format!("{} {}", grow("$b", 150), grow("$c", 150));
    let guest = guest.reads(format!("{two} (i32.const 1024)"));
    let error = scene.fails(&guest, of_memory(16 * MIB), read);
    assert!(matches!(error, Error::OutOfMemory(_)), "{error:?}");
    // What fits is given; what was refused is not counted.
    let some =
        format!("(drop (memory.grow $c (i32.const 5000))) {} {} (i32.const 1024)", grow("$b", 150), grow("$c", 80));
    let mut session = scene.session(&guest.reads(some), of_memory(16 * MIB));
    read(&mut session).unwrap();
    scene.unharmed(session);
}

fn a_component_that_begins_with_too_much_is_refused(mut scene: Scene) {
    let error = scene.refused(&Guest::new().memory("1000").component(), of_memory(16 * MIB));
    assert!(matches!(error, Error::OutOfMemory(_)), "{error:?}");
    let many = |what: &str, number: usize| Guest::new().with(what.repeat(number)).component();
    for (component, expected) in [
        (many("(memory 0)", 70), "memory count too high"),
        (many("(table 0 funcref)", 70), "table count too high"),
        (many("(table 50000 funcref)", 5), "table"),
        (with_instances(70), "instance count too high"),
    ] {
        let error = scene.refused(&component, Limits::default());
        assert!(said(&error).contains(expected), "{expected}: {}", said(&error));
    }
    // The limit is one that can be moved.
    let file = super::guest::File::new(&with_instances(70));
    scene.options().component(file.source()).limits(limits(|limits| limits.instances = 80)).open().unwrap();
}

/// A component of which a core module has so many instances more.
fn with_instances(number: u8) -> Vec<u8> {
    let mut component = Guest::new().component();
    // The embedded modules come first; theirs are the first indices of modules.
    let module = [&[1, 8][..], b"\0asm\x01\0\0\0"].concat();
    let modules = sections(&component).filter(|id| *id == 1).count() as u8;
    component.extend(module);
    let instances: Vec<u8> = std::iter::repeat_n([0, modules, 0], number.into()).flatten().collect();
    assert!(number < 0x80 && modules < 0x80);
    let length = instances.len() + 1;
    component.extend([2, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8, number]);
    component.extend(instances);
    component
}

/// The kinds of a component's sections.
fn sections(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = &component[8..];
    std::iter::from_fn(move || {
        let (id, mut after) = rest.split_first()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let (byte, more) = after.split_first()?;
            after = more;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        rest = &after[length..];
        Some(*id)
    })
}

fn function_tables_share_one_limit(mut scene: Scene) {
    let grow = |table: &str| {
        format!(
            "(if (i32.lt_s (table.grow {table} (ref.null func) (i32.const 150000)) (i32.const 0)) (then unreachable))"
        )
    };
    let guest = Guest::new().with("(table $a 0 funcref) (table $b 0 funcref)");
    let both = guest.clone().reads(format!("{} {} (i32.const 1024)", grow("$a"), grow("$b")));
    assert!(scene.traps(&both, read).contains("unreachable"));
    let mut session = scene.session(&guest.reads(format!("{} (i32.const 1024)", grow("$a"))), Limits::default());
    read(&mut session).unwrap();
    scene.unharmed(session);
}

fn endless_recursion_is_a_trap(mut scene: Scene) {
    let guest = Guest::new()
        .with("(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))")
        .reads("(call $deep (i32.const 0))");
    let message = scene.traps(&guest, read);
    assert!(message.contains("call stack exhausted"), "{message}");
    // On a small stack, too: wasmtime's own limit comes first.
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(2 * MIB)
            .spawn_scoped(scope, || assert!(scene.traps(&guest, read).contains("call stack exhausted")))
            .unwrap();
    });
}

/// A list of `number` elements of `size` bytes, each of which begins with a text
/// of a MiB that is the same for all: cheap for the component, not for the host.
fn same_text_again(number: u32, size: u32) -> String {
    format!(
        "(drop (memory.grow (i32.const 100)))
         (loop
           (i32.store offset=131072 (i32.mul (local.get $x) (i32.const {size})) (i32.const 1024))
           (i32.store offset=131076 (i32.mul (local.get $x) (i32.const {size})) (i32.const 1048576))
           (local.set $x (i32.add (local.get $x) (i32.const 1)))
           (br_if 0 (i32.lt_u (local.get $x) (i32.const {number}))))
         (i32.store (i32.const 16520) (i32.const 131072))
         (i32.store (i32.const 16524) (i32.const {number}))
         (i32.const 16512)"
    )
}

fn the_host_copies_no_more_than_its_limit(mut scene: Scene) {
    // 30 MiB; a file record has 112 bytes, a text 8.
    let guest = Guest::new()
        .function("list-available-contexts", same_text_again(30, 8))
        .function("get-recent-files", same_text_again(30, 112));
    let limits = limits(|limits| limits.copied = 8 * MIB);
    for call in [
        (|session| session.list_available_contexts().map(drop)) as Call,
        |session| session.get_recent_files(1).map(drop),
        |session| session.call_dynamic("list-available-contexts", &[]).map(drop),
        |session| session.call_dynamic("get-recent-files", &[Val::U32(1)]).map(drop),
    ] {
        let error = scene.fails(&guest, limits.clone(), call);
        assert!(matches!(error, Error::Trap(_)) && said(&error).contains("fuel"), "{}", said(&error));
    }
}
