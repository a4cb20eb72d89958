//! Generated data: files of a large code base, ten symbols a file, memories.

use crate::types::{FileUpsert, MemoryRow, Row, SymbolUpsert};
use crate::{Durability, Options, Tracker};

use super::subject::{Change, Result};

/// Symbols a file.
pub const SYMBOLS: usize = 10;
/// Files that share a context, and memories that share a tag.
const SHARED: usize = 40;
/// Files a call while data is loaded.
const PER_CALL: usize = 200;
/// Files a transaction while data is loaded.
const PER_BATCH: usize = 2_000;

const LAYERS: [&str; 8] = ["api", "core", "store", "web", "jobs", "auth", "billing", "search"];
const NOUNS: [&str; 12] = [
    "account", "invoice", "session", "token", "ledger", "schema", "worker", "queue", "parser", "vector", "segment",
    "cursor",
];
const VERBS: [&str; 10] =
    ["load", "store", "render", "validate", "merge", "encode", "resolve", "schedule", "collect", "apply"];
const KINDS: [&str; 4] = ["function", "class", "method", "constant"];

/// Spreads numbers over all 64 bits, as hashes are.
fn hashed(n: u64) -> u64 {
    let mut h = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    h = (h ^ h >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ h >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ h >> 31
}

/// The file with this number. `series` keeps those of different runs apart.
pub fn file(series: &str, n: usize) -> FileUpsert {
    let h = hashed(n as u64);
    let pick = |list: &[&'static str], shift: u32| list[(h >> shift) as usize % list.len()];
    let (layer, noun, verb) = (pick(&LAYERS, 8), pick(&NOUNS, 16), pick(&VERBS, 24));
    let path = format!("/home/dev/src/{series}/services/{layer}/src/{noun}s/{:03}/{verb}_{noun}_{n}.py", n / 500);
    FileUpsert {
        key_hash: hashed(n as u64 ^ hashed(series.bytes().fold(7, |a, b| a * 31 + u64::from(b)))),
        path,
        mtime: 1.7e9 + n as f64 * 0.25,
        size: (h % 60_000).cast_signed(),
        content_hash: format!("{h:016x}{:016x}{:016x}{:016x}", hashed(h), hashed(h ^ 1), hashed(h ^ 2)),
        blob_offset: n as i64 * 4096,
        blob_length: (h % 60_000).cast_signed(),
        contexts: vec![format!("context:{layer}-{}", n / SHARED)],
    }
}

/// The symbols of a file.
pub fn symbols(file: &FileUpsert, n: usize) -> Vec<SymbolUpsert> {
    let symbol = |i: usize| {
        let h = hashed(file.key_hash ^ i as u64);
        let (verb, noun) = (VERBS[h as usize % VERBS.len()], NOUNS[(h >> 8) as usize % NOUNS.len()]);
        SymbolUpsert {
            // The name is found by its number in exactly one file.
            name: format!("{verb}_{noun}_{n}_{i}"),
            kind: KINDS[(h >> 16) as usize % KINDS.len()].to_owned(),
            line_start: i as i64 * 20 + 1,
            line_end: Some(i as i64 * 20 + 15),
            blob_offset: file.blob_offset + i as i64 * 300,
            blob_length: 300,
            key_hash: h,
        }
    };
    (0..SYMBOLS).map(symbol).collect()
}

/// Files with their symbols.
pub fn change(series: &str, numbers: std::ops::Range<usize>) -> Change {
    let files: Vec<FileUpsert> = numbers.clone().map(|n| file(series, n)).collect();
    let symbols = files.iter().zip(numbers).map(|(file, n)| symbols(file, n)).collect();
    Change { files, symbols }
}

fn memory(n: usize) -> Row {
    let h = hashed(n as u64 ^ 0x5eed);
    Row::Memory(MemoryRow {
        id: format!("mem:{h:016x}"),
        task: Some(format!("task:{}", VERBS[h as usize % VERBS.len()])),
        insights: Some(format!("[\"insight:{}\"]", NOUNS[(h >> 8) as usize % NOUNS.len()])),
        context: Some(format!("[\"context:{}\"]", LAYERS[(h >> 16) as usize % LAYERS.len()])),
        symbol_keys: Some(format!("[{h}]")),
        text: format!("The {} waits for the {} before it retries.", NOUNS[n % 12], NOUNS[(n / 12) % 12]),
        tags: Some(format!("[\"tag-{}\", \"all\"]", n / SHARED)),
        blob_offset: n as i64 * 100,
        blob_length: 90,
        key_hash: h,
        created_at: 1.7e9 + n as f64,
        updated_at: None,
        vector_offset: None,
        vector_length: None,
        access_count: 0,
        last_accessed: None,
        owner_id: None,
        is_team: false,
    })
}

/// Fills a store with so many files, their symbols, and as many memories as
/// files, until `progress` has an error.
pub fn fill(options: Options, files: usize, progress: &mut dyn FnMut(usize) -> Result<()>) -> Result<()> {
    let mut tracker: Tracker = options.durability(Durability::NoSync).open()?;
    for start in (0..files).step_by(PER_BATCH) {
        let end = files.min(start + PER_BATCH);
        let mut batch = tracker.batch()?;
        for from in (start..end).step_by(PER_CALL) {
            let to = end.min(from + PER_CALL);
            let change = change("base", from..to);
            batch.upsert_files(&change.files)?;
            for (file, symbols) in change.files.iter().zip(&change.symbols) {
                batch.replace_symbols(&file.path, symbols)?;
            }
            batch.import_rows(&(from..to).map(memory).collect::<Vec<_>>())?;
        }
        batch.commit()?;
        progress(end)?;
    }
    Ok(())
}
