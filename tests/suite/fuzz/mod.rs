//! Fuzzing: hostile bytes at every decoder, and what it found.

mod damage;
mod engine;
mod found;
mod structure;
mod targets;

use engine::Plan;

fn none() -> Vec<Vec<u8>> {
    Vec::new()
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Heads of msgpack values.
fn msgpack() -> Vec<Vec<u8>> {
    words(&[
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xc3",
        b"\xc4\x01",
        b"\xca",
        b"\xcb",
        b"\xcc\xff",
        b"\xcd\xff\xff",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xd0\x80",
        b"\xd3\x80\0\0\0\0\0\0\0",
        b"\xd4",
        b"\xd9\x03abc",
        b"\xda\0\x03abc",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\0\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xde\0\x0b",
        b"\xdf\xff\xff\xff\xff",
        b"\x80",
        b"\x90",
        b"\x91\x91\x91\x91",
        b"\xa7is_team\x01",
        b"\xa9is_active\x01",
        b"\xa4path",
        b"\xa2id",
    ])
}

/// Pieces of WAVE and JSON.
fn pieces() -> Vec<Vec<u8>> {
    let mut all = words(&[
        b"some(",
        b"none",
        b"nan",
        b"inf",
        b"-inf",
        b"true",
        b"null",
        b"\"\"\"\n",
        b"'\\u{1F980}'",
        b"%none",
        b"[[[[",
        b"{a: 1}",
        b"18446744073709551616",
        b"-1",
        b"1e400",
        b"\\u{d800}",
        b"\\udcff",
        b"//",
        b"{\"call\":",
        b"\"args\":",
        b"\"AA==\"",
        b"\"inf\"",
        b"\xff",
        b"\xed\xa0\x80",
        b"{\"counter\":{\"name\":\"symbols\",\"value\":",
        b"\n",
    ]);
    all.extend(targets::calls::FUNCTIONS.iter().map(|function| function.name.clone().into_bytes()));
    all
}

/// Lengths that do not fit, and parts of keys.
fn lengths() -> Vec<Vec<u8>> {
    words(&[
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\x08\0\0\0",
        b"\xf8\xff\xff\xff",
        b"\0\0\0\0",
        b"\x01\x01",
        b"\x01\x02",
        b"\0\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x7f\xf8\0\0\0\0\0\0",
        b"insight:todo\0",
        b"function\0",
        b"same\0",
    ])
}

fn plan(name: &'static str) -> Plan {
    let run = targets::ALL.iter().find(|(target, _)| *target == name).expect(name).1;
    let plan = Plan { name, run, short: 20_000, seeds: none, dictionary: none, structured: None };
    match name {
        "records" => Plan { short: 60_000, dictionary: msgpack, structured: Some(structure::record), ..plan },
        "keys" | "packed" | "lift" => Plan { dictionary: lengths, ..plan },
        "texts" => Plan { dictionary: pieces, structured: Some(structure::json), ..plan },
        "calls" => Plan { short: 10_000, dictionary: pieces, structured: Some(structure::json), ..plan },
        "rows" => Plan { dictionary: pieces, structured: Some(structure::json), ..plan },
        "import" => Plan { short: 400, dictionary: pieces, structured: Some(structure::json), ..plan },
        "cursors" => Plan { short: 2_000, seeds: targets::cursors::real, dictionary: lengths, ..plan },
        _ => Plan { short: 150, structured: Some(structure::edit), ..plan },
    }
}

macro_rules! fuzzed {
    ($($target:literal $test:ident,)+) => {
        $(
            #[test]
            fn $test() {
                plan($target).fuzz();
            }
        )+

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$($target),+]);
        }
    };
}

fuzzed! {
    "records" any_value_is_a_record_that_comes_back_or_corrupt,
    "keys" keys_sort_as_their_parts_and_any_bytes_are_read,
    "packed" packed_buffers_are_read_as_they_were_written_or_refused,
    "texts" text_columns_are_read_as_json_or_as_malformed,
    "lift" answers_of_hostile_components_stay_within_memory_and_budget,
    "calls" calls_are_the_same_in_wave_and_json_or_refused,
    "rows" lines_of_exports_come_back_or_are_refused,
    "import" an_import_leaves_a_sound_store_or_the_one_before,
    "cursors" any_cursor_gives_an_end_of_its_list,
    "sqlite" damaged_databases_are_migrated_or_refused_by_name,
}
