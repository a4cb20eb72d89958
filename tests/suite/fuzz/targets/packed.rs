//! The packed buffers between guest and host, from both sides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracker_guest::fuzzing::{Pending, answers, page};
use tracker_memory::Memory;
use tracker_memory::packed::{self, Op};

use super::Input;

/// Input: what to try, and a buffer or a script.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => operations(input.0),
        1 => scanned(input.0),
        2 => looked_up(input.0, &mut Input(input.0)),
        _ => pending(&mut input),
    }
}

/// Operations from a hostile guest, at the host.
fn operations(buffer: &[u8]) {
    let all: Vec<_> = packed::ops(buffer).collect();
    let good: Vec<Op> = all.iter().map_while(|op| op.ok()).collect();
    assert!(all.len() <= good.len() + 1, "nothing follows what does not parse");
    // What parses is what it is made of, no byte more or less.
    let mut again = Vec::new();
    good.iter().for_each(|op| packed::push_op(*op, &mut again));
    assert!(buffer.starts_with(&again), "{buffer:x?}");
    assert_eq!(again.len() == buffer.len(), all.iter().all(Result::is_ok));
    if all.iter().any(Result::is_err) {
        return;
    }
    apply(&good);
}

/// The engine does with operations what a map does.
fn apply(ops: &[Op]) {
    let memory = Memory::new();
    let tables = memory.open(&["a".into(), "b".into()]).expect("it is new");
    let mut write = memory.write().expect("nobody writes");
    let mut model = [BTreeMap::new(), BTreeMap::new()];
    for op in ops {
        let at = usize::from(op.table() % 2);
        match *op {
            Op::Put { key, value, .. } => {
                write.put(tables[at], key, value);
                model[at].insert(key, value);
            }
            Op::Delete { key, .. } => {
                write.delete(tables[at], key);
                model[at].remove(key);
            }
            Op::Clear { .. } => {
                write.clear(tables[at]);
                model[at].clear();
            }
        }
    }
    for (table, model) in tables.iter().zip(&model) {
        let mut found = Vec::new();
        write.scan(*table, b"", b"").for_each(|(key, value)| packed::push_entry(key, value, &mut found));
        let expected: Vec<(&[u8], &[u8])> = model.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(page(&found), Some(expected));
    }
}

/// A page of a scan from a hostile host, at the guest.
fn scanned(buffer: &[u8]) {
    let Some(entries) = page(buffer) else { return };
    let mut again = Vec::new();
    entries.iter().for_each(|(key, value)| packed::push_entry(key, value, &mut again));
    assert_eq!(again, buffer);
}

/// An answer of `get-many` at the guest, keys at the host.
fn looked_up(buffer: &[u8], script: &mut Input) {
    for asked in [0, 1, 3, 1000] {
        let Some(values) = answers(buffer.to_vec(), asked) else { continue };
        assert!((1..=asked).contains(&values.len()));
        let mut again = Vec::new();
        values.iter().for_each(|value| packed::push_value(value.as_deref(), &mut again));
        assert_eq!(again, buffer);
    }
    let keys: Vec<_> = packed::keys(buffer).collect();
    let good: Vec<&[u8]> = keys.iter().map_while(|key| key.ok()).collect();
    assert!(keys.len() <= good.len() + 1);
    // A key in the request is written as a value in the answer is.
    let mut again = Vec::new();
    good.iter().for_each(|key| packed::push_value(Some(key), &mut again));
    assert!(buffer.starts_with(&again));
    let mut answer = Vec::new();
    let mut given = Vec::new();
    while !script.is_empty() {
        let value = (script.byte() < 0xc0).then(|| script.bytes().to_vec());
        packed::push_value(value.as_deref(), &mut answer);
        given.push(value);
    }
    if !given.is_empty() {
        let asked = given.len();
        assert_eq!(answers(answer, asked), Some(given));
    }
}

/// What a call has written is what it reads, and what the host is sent.
fn pending(script: &mut Input) {
    let tables = Pending::tables();
    let mut pending = Pending::default();
    let mut model: HashMap<(usize, Vec<u8>), Option<Vec<u8>>> = HashMap::new();
    let mut seen = BTreeSet::new();
    let mut sent = Vec::new();
    let mut push = |op: Op| packed::push_op(op, &mut sent);
    while !script.is_empty() {
        let (what, at) = (script.byte(), usize::from(script.byte()) % tables.len());
        let (table, key) = (at as u16, script.bytes());
        match what % 8 {
            0 => {
                pending.clear(at);
                push(Op::Clear { table });
                model.retain(|(other, _), _| *other != at);
            }
            1 | 2 => {
                pending.delete(at, key);
                push(Op::Delete { table, key });
                model.insert((at, key.to_vec()), None);
            }
            _ => {
                let value = script.bytes();
                pending.put(at, key, value);
                push(Op::Put { table, key, value });
                model.insert((at, key.to_vec()), Some(value.to_vec()));
            }
        }
        seen.insert((at, key.to_vec()));
        for (at, key) in seen.iter().filter(|(at, _)| tables[*at]) {
            let known = model.get(&(*at, key.clone())).map(Option::as_deref);
            assert_eq!(pending.get(*at, key), known, "{key:x?}");
        }
    }
    assert_eq!(pending.ops(), sent);
    assert_eq!(pending.get(0, b"a key that was never written"), None);
}
