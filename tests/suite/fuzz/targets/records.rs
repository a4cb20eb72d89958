//! Records: values of primary tables, as a hostile file may hold them.

use tracker_guest::fuzzing::{Reader, decode, read, tables};
use tracker_guest::key;

use super::Input;

/// Input: the table, the length of the physical key, the key, the value.
pub fn run(data: &[u8]) {
    let tables = tables();
    let mut input = Input(data);
    let table = tables[usize::from(input.byte()) % tables.len()];
    let physical = physical(table, &mut input);
    let value = input.0;
    let (in_order, in_any_order) = (read(Reader::InOrder, table, value), read(Reader::AnyOrder, table, value));
    if let Some(in_order) = &in_order {
        assert_eq!(Some(in_order), in_any_order.as_ref(), "the readers of {table} disagree about {value:x?}");
    }
    let reading = match decode(table, &physical, value) {
        Err(message) => {
            let named = format!("table {table}, key {}:", key::printable(&physical));
            assert!(message.starts_with(&named), "{message} does not name {named}");
            assert!(in_order.is_none() && in_any_order.is_none(), "{table} refuses what a reader took: {value:x?}");
            return;
        }
        Ok(reading) => reading,
    };
    assert_eq!(reading.through_row, reading.value, "{table}: a row is not the record");
    if in_any_order.is_some() {
        let mut rest = value;
        let map = rmpv::decode::read_value(&mut rest).expect("what was taken is msgpack");
        assert!(map.is_map() && rest.is_empty(), "{table} takes {value:x?}");
    }
    // Keys in front of values are as they are; all else is a function of the fields.
    let again = key::with_physical(&reading.key, |physical| {
        let in_front = matches!(table, "metadata" | "pattern_files") && key::is_cut(physical);
        let value = if in_front { key::join_value(&reading.key, &reading.value) } else { reading.value.clone() };
        decode(table, physical, &value)
    });
    assert_eq!(again.as_ref(), Ok(&reading), "{table}: what was written is not read");
    if in_any_order.is_some() {
        assert_eq!(read(Reader::InOrder, table, &reading.value).as_ref(), Some(&reading.value), "{table}");
    }
}

/// A physical key that a store can have.
fn physical(table: &str, input: &mut Input) -> Vec<u8> {
    let key = input.bytes().to_vec();
    match (table, key.as_slice()) {
        // A long key, cut: its beginning, and whether the hash is right.
        ("metadata" | "pattern_files", [255, right, text @ ..]) => {
            let logical = [&[b'k'; 8][..], &text.repeat(600 / text.len().max(1) + 1)].concat();
            let mut physical = key::with_physical(&logical, <[u8]>::to_vec);
            if right % 2 == 1 {
                *physical.last_mut().expect("it has a byte") ^= right;
            }
            physical
        }
        (_, []) => vec![0],
        (_, key) => key.to_vec(),
    }
}
