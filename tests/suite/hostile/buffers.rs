//! Components that hand over what cannot be, or ask for too much at once.

use tracker_host::store::packed::{self, Op};
use tracker_host::{Error, Limits};

use super::guest::{DATA, Guest, data};
use super::scene::{Scene, limits, over_every_engine, read, said, write};

over_every_engine!(
    a_page_of_a_scan_is_limited_whatever_is_asked_for,
    an_answer_to_millions_of_keys_is_limited,
    a_packed_buffer_that_does_not_parse_is_a_trap_and_nothing_is_written,
    keys_and_values_beyond_the_limits_are_errors_after_which_the_transaction_goes_on,
    a_value_of_65_mib_is_refused_and_one_of_a_transaction_s_limit_ends_it,
    addresses_outside_of_the_memory_and_values_of_no_type_are_traps,
    tables_are_limited_in_number_and_name,
);

/// A component that counts: what `file-count` answers.
fn counted(scene: &mut Scene, guest: &Guest, limits: Limits) -> u64 {
    let mut session = scene.session(guest, limits);
    let number = session.file_count().unwrap();
    scene.unharmed(session);
    number
}

fn a_page_of_a_scan_is_limited_whatever_is_asked_for(mut scene: Scene) {
    // 300 entries of 4 and 4 bytes, 16 with their lengths.
    let guest =
        Guest::new().with(data(DATA, &[&[0, 1, 0, 4, 0, 0, 0, 4, 0, 0, 0][..], b"key.", b"val."].concat())).function(
            "file-count",
            format!(
                "(call $open) (call $write)
                 (loop
                   (i32.store (i32.const {}) (local.get $x))
                   (call $txn.write (global.get $txn) (i32.const {DATA}) (i32.const 19) (i32.const 16384)) (call $must)
                   (local.set $x (i32.add (local.get $x) (i32.const 1)))
                   (br_if 0 (i32.lt_u (local.get $x) (i32.const 300))))
                 (call $txn.scan (global.get $txn) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                   (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 16384))
                 (call $must)
                 (local.set $x (i32.load (i32.const 16396)))
                 (call $txn.drop (global.get $txn))
                 (call $number (i64.extend_i32_u (local.get $x)))",
                DATA + 11
            ),
        );
    assert_eq!(counted(&mut scene, &guest, Limits::default()), 300 * 16);
    assert_eq!(counted(&mut scene, &guest, limits(|limits| limits.scan_entries = 100)), 100 * 16);
    let bytes = counted(&mut scene, &guest, limits(|limits| limits.scan_bytes = 256));
    assert!((1..=256 + 16).contains(&bytes), "{bytes}");
}

fn an_answer_to_millions_of_keys_is_limited(mut scene: Scene) {
    // Zero bytes are keys without a byte; there are two million of them.
    let guest = Guest::new().function(
        "file-count",
        "(local.set $x (i32.mul (memory.grow (i32.const 124)) (i32.const 65536)))
         (call $open) (call $read)
         (call $txn.get-many (global.get $txn) (i32.const 0) (local.get $x) (i32.const 8000000) (i32.const 16384))
         (call $must)
         (local.set $x (i32.load (i32.const 16396)))
         (call $txn.drop (global.get $txn))
         (call $number (i64.extend_i32_u (local.get $x)))",
    );
    assert_eq!(counted(&mut scene, &guest, Limits::default()), 4 << 20);
    assert_eq!(counted(&mut scene, &guest, limits(|limits| limits.scan_bytes = 1000)), 1000);
}

/// Writes these bytes as operations in a transaction of its own, and commits.
fn writes(bytes: &[u8]) -> Guest {
    Guest::new().with(data(DATA, bytes)).writes(format!(
        "(call $open) (call $write)
         (call $txn.write (global.get $txn) (i32.const {DATA}) (i32.const {}) (i32.const 16384))
         (if (i32.load8_u (i32.const 16384)) (then
           (memory.copy (i32.const 17000) (i32.const 16384) (i32.const 32))
           ;; The transaction is as it was.
           (call $txn.write (global.get $txn) (i32.const 16768) (i32.const 19) (i32.const 16384)) (call $must)
           (call $txn.commit (global.get $txn) (i32.const 16384)) (call $must)
           (memory.copy (i32.const 16384) (i32.const 17000) (i32.const 32))
           (return (call $pass-on))))
         (call $txn.commit (global.get $txn) (i32.const 16384)) (call $must)
         (i32.const 1024)",
        bytes.len()
    ))
}

fn a_packed_buffer_that_does_not_parse_is_a_trap_and_nothing_is_written(mut scene: Scene) {
    // What comes before the mistake would damage the table of files.
    let mut good = Vec::new();
    packed::push_op(Op::Put { table: 0, key: b"kept", value: b"evil" }, &mut good);
    let with = |bytes: &[u8]| [&good[..], bytes].concat();
    let length = |kind: u8, key: u32, value: u32, rest: &[u8]| {
        with(&[&[kind, 0, 0][..], &key.to_le_bytes(), &value.to_le_bytes(), rest].concat())
    };
    for (bytes, expected) in [
        (with(&[0]), "it ends too early"),
        (length(0, u32::MAX, u32::MAX, b"k"), "it ends too early"),
        (length(0, 4, 5, b"keyvalu"), "it ends too early"),
        (length(1, 1, 1, b"kv"), "a delete has a value"),
        (length(2, 1, 0, b"k"), "a clear has a key"),
        (length(9, 1, 1, b"kv"), "unknown operation"),
        (with(&[0, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 7]), "table 65535 was not opened"),
    ] {
        let message = scene.traps(&writes(&bytes), write);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let keys = Guest::new().with(data(DATA, &[255, 0, 0, 0, 1])).reads(format!(
        "(call $open) (call $read)
         (call $txn.get-many (global.get $txn) (i32.const 0) (i32.const {DATA}) (i32.const 5) (i32.const 16384))
         unreachable"
    ));
    assert!(scene.traps(&keys, read).contains("it ends too early"));
}

fn keys_and_values_beyond_the_limits_are_errors_after_which_the_transaction_goes_on(mut scene: Scene) {
    let ops = |op: Op<'_>| {
        let mut ops = Vec::new();
        packed::push_op(Op::Put { table: 1, key: b"k", value: b"v" }, &mut ops);
        packed::push_op(op, &mut ops);
        ops
    };
    let max = scene.max_key_size();
    let long = vec![b'k'; max + 1];
    for op in [
        Op::Put { table: 1, key: b"", value: b"v" },
        Op::Put { table: 1, key: &long, value: b"v" },
        Op::Delete { table: 1, key: b"" },
        Op::Delete { table: 1, key: &long },
    ] {
        let error = scene.fails(&writes(&ops(op)), Limits::default(), write);
        assert!(said(&error).contains(&format!("longer than {max} bytes")), "{error:?}");
    }
    let longest = writes(&ops(Op::Put { table: 1, key: &long[..max], value: b"v" }));
    write(&mut scene.session(&longest, Limits::default())).unwrap();
    // Looking for such keys finds nothing.
    for length in [0, max + 1, 100_000] {
        let guest = Guest::new().reads(format!(
            "(call $open) (call $read)
             (call $txn.get (global.get $txn) (i32.const 0) (i32.const 1024) (i32.const {length}) (i32.const 16384))
             (call $txn.drop (global.get $txn))
             (call $pass-on)"
        ));
        assert!(said(&scene.fails(&guest, Limits::default(), read)).contains("a key was not found"));
    }
}

fn a_value_of_65_mib_is_refused_and_one_of_a_transaction_s_limit_ends_it(mut scene: Scene) {
    let value = 65 << 20;
    let guest = Guest::new().writes(format!(
        "(local.set $x (i32.mul (memory.grow (i32.const 1100)) (i32.const 65536)))
         (i32.store offset=1 (local.get $x) (i32.const 1))
         (i32.store offset=3 (local.get $x) (i32.const 4))
         (i32.store offset=7 (local.get $x) (i32.const {value}))
         (i32.store offset=11 (local.get $x) (i32.const 0x74706b65))
         (call $open) (call $write)
         (call $txn.write (global.get $txn) (i32.const 1) (i32.const 0) (i32.const 16384)) (call $must)
         (call $txn.write (global.get $txn) (local.get $x) (i32.const {}) (i32.const 16384))
         (call $txn.drop (global.get $txn))
         (if (i32.eqz (i32.load8_u (i32.const 16384))) (then (return (i32.const 1024))))
         (call $pass-on)",
        value + 15
    ));
    let error = scene.fails(&guest, Limits::default(), write);
    assert!(said(&error).contains("larger than 67108864 bytes"), "{error:?}");
    let larger = limits(|limits| limits.value_size = 100 << 20);
    write(&mut scene.session(&guest, larger.clone())).unwrap();
    let mut less = larger;
    less.transaction_bytes = 60 << 20;
    let error = scene.fails(&guest, less, write);
    assert!(said(&error).contains("writes more than 62914560 bytes"), "{error:?}");
}

fn addresses_outside_of_the_memory_and_values_of_no_type_are_traps(mut scene: Scene) {
    let txn = "(call $open) (call $read) ";
    for (calls, expected) in [
        ("(call $txn.write (global.get $txn) (i32.const -8) (i32.const 100) (i32.const 16384))", "out of bounds"),
        ("(call $txn.write (global.get $txn) (i32.const 0) (i32.const -1) (i32.const 16384))", "out of bounds"),
        ("(call $store.get (i32.const 0) (i32.const 0x7fffffff) (i32.const 4) (i32.const 16384))", "out of bounds"),
        ("(call $store.get (i32.const 0) (i32.const 16704) (i32.const 5) (i32.const -8))", "out of bounds"),
        ("(call $store.get (i32.const 0) (i32.const 16704) (i32.const 5) (i32.const 16385))", "pointer not aligned"),
        ("(call $store.begin (i32.const 7) (i32.const 16384))", "discriminant"),
        (
            "(call $txn.scan (global.get $txn) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 9) (i32.const 1) (i32.const 1) (i32.const 16384))",
            "discriminant",
        ),
        ("(call $store.get (i32.const 2) (i32.const 16704) (i32.const 5) (i32.const 16384))", "table 2 was not opened"),
        ("(call $txn.count (global.get $txn) (i32.const -1) (i32.const 16384))", "was not opened"),
        ("(call $open)", "open was called twice"),
    ] {
        let message = scene.traps(&Guest::new().reads(format!("{txn} {calls} (i32.const 1024)")), read);
        assert!(message.contains(expected), "{calls}: {message}");
    }
    let early = "(call $store.get (i32.const 0) (i32.const 16704) (i32.const 5) (i32.const 16384)) (i32.const 1024)";
    assert!(scene.traps(&Guest::new().reads(early), read).contains("table 0 was not opened"));
}

fn tables_are_limited_in_number_and_name(mut scene: Scene) {
    let open = |list: u32, number: u32| {
        format!("(call $store.open (i32.const {list}) (i32.const {number}) (i32.const 16384)) (call $pass-on)")
    };
    // A hundred times the name "files".
    let names: Vec<u8> = [16704u32, 5].repeat(100).into_iter().flat_map(u32::to_le_bytes).collect();
    let many = Guest::new().with(data(DATA, &names));
    for (number, expected) in
        [(97, "97 tables were asked for"), (0, "0 tables were asked for"), (1 << 29, "out of bounds")]
    {
        let message = scene.traps(&many.clone().reads(open(DATA, number)), read);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // Names that no table can have; the second of two, since the first says whose store it is.
    for name in [&b""[..], b"a\0b", &[b'n'; 600], b"\xff\xfe"] {
        let place = DATA + 16;
        let list: Vec<u8> = [16704, 5, place, name.len() as u32].into_iter().flat_map(u32::to_le_bytes).collect();
        let guest = Guest::new().with(data(DATA, &list)).with(data(place, name)).reads(open(DATA, 2));
        let error = scene.fails(&guest, Limits::default(), read);
        let expected = if name == b"\xff\xfe" { "utf-8" } else { "cannot be the name of a table" };
        assert!(said(&error).contains(expected), "{}", said(&error));
    }
    // Somebody else's tables.
    let guest = Guest::new().with(data(DATA, &[0x48, 0x41, 0, 0, 4, 0, 0, 0])).reads(open(DATA, 1));
    assert!(matches!(scene.fails(&guest, Limits::default(), read), Error::Foreign));
}
