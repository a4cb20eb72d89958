//! What fuzzing found, each with its input.

use tracker_guest::fuzzing::{Reader, decode, read};
use tracker_host::types::{CounterRow, Row, SymbolRecord};
use tracker_host::{Error, Tracker};

use super::damage::damaged;
use super::targets::cursors::populated;
use crate::support::{Fresh, fresh};

/// A map of one field.
fn map(field: &str, value: &[u8]) -> Vec<u8> {
    [&[0x81, 0xa0 | field.len() as u8][..], field.as_bytes(), value].concat()
}

#[test]
fn a_flag_that_is_a_number_is_read_in_any_order() {
    // As programs over SQLite write it. In order it was read, otherwise the record was corrupt.
    for (table, flag) in [("threads", "is_active"), ("files", "is_team"), ("memories", "is_team")] {
        let (number, truth) = (map(flag, &[1]), map(flag, &[0xc3]));
        let reading = decode(table, b"k", &number).unwrap();
        assert_eq!(reading, decode(table, b"k", &truth).unwrap(), "{table}");
        assert!(decode(table, b"k", &map(flag, &[2])).is_err(), "{table}");
    }
}

#[test]
fn a_record_with_more_behind_it_is_corrupt() {
    // The tolerant reader took the map and left the rest; Python's msgpack refuses it.
    for behind in [&[0xc0][..], &[0x91], b"rest"] {
        let value = [&map("id", &[1]), behind].concat();
        assert!(decode("checkpoints", b"k", &value).unwrap_err().contains("table checkpoints, key k"));
    }
}

#[test]
fn a_list_of_values_is_no_record() {
    // serde takes a list for a struct: an empty one was a record of defaults.
    assert!(decode("files", b"k", &[0x90]).is_err());
    assert_eq!(read(Reader::AnyOrder, "transcript_pos", &[0x93, 0xa1, b'p', 1, 2]), None);
    assert!(decode("files", b"k", &[0x80]).is_ok(), "fields that are missing have their defaults");
}

#[test]
fn an_unknown_field_that_nests_deeply_is_corrupt_and_no_trap() {
    for depth in [33, 900, 1_020, 100_000] {
        let (_dir, store) = damaged("checkpoints", |raw, txn| {
            let key = raw.first(txn).unwrap().unwrap().0.to_vec();
            raw.put(txn, &key, &map("later", &[&vec![0x91; depth][..], &[0xc0]].concat())).unwrap();
        });
        let latest = Tracker::open(&store).unwrap().get_latest_checkpoint();
        assert!(matches!(latest, Err(Error::Corrupt(_))), "{depth}: {latest:?}");
    }
}

#[test]
fn a_text_key_that_no_text_makes_is_corrupt() {
    // 00 02 was read as the text that 00 01 02 stands for.
    assert!(decode("metadata", &[0, 2], b"value").is_err());
    assert!(decode("metadata", &[0, 0], b"value").is_err());
    assert!(decode("metadata", &[0, 1, 2], b"value").is_ok());
}

#[test]
fn a_cursor_of_another_kind_leads_into_no_other_kind() {
    let mut tracker = populated();
    // Of `function`, which sorts before `insight:todo`; it listed both.
    let foreign = tracker.list_insights_by_type("function", None, 1).unwrap().next.unwrap();
    for kind in ["insight:todo", "nothing"] {
        let whole: Vec<SymbolRecord> = tracker.insights_by_type(kind, 100).map(Result::unwrap).collect();
        let page = tracker.list_insights_by_type(kind, Some(&foreign), 100).unwrap();
        assert_eq!(page.items, whole, "{kind}");
    }
}

#[test]
fn a_limit_of_zero_keeps_the_place() {
    let mut tracker = populated();
    let cursor = tracker.list_insights_by_type("insight:todo", None, 1).unwrap().next;
    let page = tracker.list_insights_by_type("insight:todo", cursor.as_ref(), 0).unwrap();
    assert_eq!((page.items.len(), page.next), (0, cursor));
}

#[test]
fn the_greatest_limit_is_not_the_smallest() {
    // Sums with limits went round in the component's 32 bits, and the answers were empty.
    let mut tracker = populated();
    let tags = ["x".to_owned()];
    let all = tracker.query_memories(None, &[], &[], &tags, 1000, 0).unwrap();
    assert!(all.len() > 1);
    assert_eq!(tracker.query_memories(None, &[], &[], &tags, u32::MAX, 1).unwrap(), all[1..]);
    assert_eq!(tracker.query_memories(None, &[], &[], &tags, u32::MAX, u32::MAX).unwrap(), []);
    let all = tracker.list_all_symbols(None, None, 1000).unwrap().items;
    assert_eq!(tracker.list_all_symbols(None, None, u32::MAX).unwrap().items, all);
}

#[test]
fn after_the_greatest_id_none_is_given_out() {
    // It went round to 0, and 0 was given out again and again.
    let Fresh { mut tracker, dir: _dir } = fresh();
    tracker.import_rows(&[Row::Counter(CounterRow { name: "symbols".into(), value: u64::MAX })]).unwrap();
    for _ in 0..2 {
        let refused = tracker.upsert_symbol("/a", "n", "k", 1, None, 0, 0, 0);
        assert!(matches!(&refused, Err(Error::InvalidArgument(why)) if why.contains("symbols")), "{refused:?}");
    }
    assert_eq!(tracker.symbol_count().unwrap(), 0);
    assert_eq!(tracker.create_thread("s", "t", None, None).unwrap().id, 1);
}

#[test]
fn a_damaged_counter_gives_no_id_out_again() {
    // It was taken for 0, so that the next symbol replaced the first.
    let (_dir, store) = damaged("counters", |raw, txn| raw.put(txn, b"symbols", b"\0").unwrap());
    let mut tracker = Tracker::open(&store).unwrap();
    let symbols: Vec<_> = tracker.all_symbols(None, 100).map(Result::unwrap).collect();
    let refused = tracker.upsert_symbol("/new", "n", "k", 1, None, 0, 0, 0);
    assert!(matches!(&refused, Err(Error::Corrupt(message)) if message.contains("table counters, key symbols")));
    tracker.reindex().unwrap();
    let id = tracker.upsert_symbol("/new", "n", "k", 1, None, 0, 0, 0).unwrap();
    assert!(symbols.iter().all(|symbol| symbol.id < id));
}
