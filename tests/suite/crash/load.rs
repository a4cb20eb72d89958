//! Transactions whose outcome is known: what a writer has stored after `n` of
//! them depends on `n` alone, and the store itself says how many there were.

use std::collections::BTreeMap;

use tracker_host::types::SymbolUpsert;
use tracker_host::{Batch, Result, Tracker};

/// Files and memories of a writer.
const FILES: u64 = 24;
const MEMORIES: u64 = 8;
/// Every so manieth transaction stores a text that the map has to grow for.
const LARGE: u64 = 13;

/// What a store holds of a writer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Its transactions that were committed.
    pub commits: u64,
    /// By path, the transaction that stored the file, and the names of its symbols.
    files: BTreeMap<String, (i64, Vec<String>)>,
    /// By id, the text.
    memories: BTreeMap<String, String>,
    /// The large text.
    large: Option<String>,
}

fn path(writer: u64, file: u64) -> String {
    format!("/w{writer}/src/file{file:02}.rs")
}

fn symbols(n: u64) -> Vec<String> {
    (0..n % 7).map(|symbol| format!("symbol_{n}_{symbol}")).collect()
}

fn memory(writer: u64, n: u64) -> (String, String) {
    // Of one page at most, and of several.
    let length = if n.is_multiple_of(5) { 9000 } else { 40 * (n % 17) };
    (format!("memory:w{writer}:{}", n % MEMORIES), text(n, length))
}

fn large(n: u64) -> String {
    text(n, 4096 * (n % 60 + 20))
}

fn text(n: u64, length: u64) -> String {
    format!("{n} ").chars().cycle().take(length as usize).collect()
}

fn deleted(n: u64) -> Option<u64> {
    n.is_multiple_of(4).then_some((n + FILES / 2) % FILES)
}

impl State {
    /// What there must be after so many transactions.
    pub fn after(writer: u64, commits: u64) -> Self {
        let mut state = State::default();
        for n in 1..=commits {
            state.commits = n;
            state.files.insert(path(writer, n % FILES), (n as i64, symbols(n)));
            if let Some(file) = deleted(n) {
                state.files.remove(&path(writer, file));
            }
            let (id, text) = memory(writer, n);
            state.memories.insert(id, text);
            if n.is_multiple_of(LARGE) {
                state.large = Some(large(n));
            }
        }
        state
    }

    /// What there is.
    pub fn read(tracker: &mut Tracker, writer: u64) -> Result<Self> {
        let commits = tracker.get_metadata(&format!("commits:{writer}"))?;
        let mut state = State {
            commits: commits.map_or(0, |commits| commits.parse().unwrap()),
            large: tracker.get_metadata(&format!("large:{writer}"))?,
            ..State::default()
        };
        let paths: Vec<String> = tracker.paths(&format!("/w{writer}"), 100).collect::<Result<_>>()?;
        for (path, file) in paths.iter().zip(tracker.get_files(&paths)?) {
            let mut names: Vec<String> = tracker.get_symbols(path)?.into_iter().map(|symbol| symbol.name).collect();
            names.sort_unstable();
            state.files.insert(path.clone(), (file.map_or(-1, |file| file.size), names));
        }
        let prefix = format!("memory:w{writer}:");
        let memories = tracker.memories(100).collect::<Result<Vec<_>>>()?;
        let own = memories.into_iter().filter(|memory| memory.id.starts_with(&prefix));
        state.memories = own.map(|memory| (memory.id, memory.text)).collect();
        Ok(state)
    }
}

/// Transaction `n` of a writer: entities of several kinds, their indexes, and
/// the number itself.
pub fn commit(tracker: &mut Tracker, writer: u64, n: u64) -> Result<()> {
    let mut batch = tracker.batch()?;
    fill(&mut batch, writer, n)?;
    batch.set_metadata(&format!("commits:{writer}"), &n.to_string())?;
    batch.commit()
}

/// What nobody should do: the number is in a transaction of its own.
pub fn commit_and_count_apart(tracker: &mut Tracker, writer: u64, n: u64) -> Result<()> {
    let mut batch = tracker.batch()?;
    fill(&mut batch, writer, n)?;
    batch.commit()?;
    tracker.set_metadata(&format!("commits:{writer}"), &n.to_string())
}

fn fill(batch: &mut Batch<'_>, writer: u64, n: u64) -> Result<()> {
    let path_of_file = path(writer, n % FILES);
    let key = (writer << 32) + n % FILES + 1;
    let context = format!("context:{}", n % 5);
    batch.upsert_file(&path_of_file, n as f64, n as i64, "hash", 0, 1, key, std::slice::from_ref(&context))?;
    let upsert = |(line, name): (usize, String)| SymbolUpsert {
        name,
        kind: "function".into(),
        line_start: line as i64,
        line_end: None,
        blob_offset: 0,
        blob_length: 1,
        key_hash: key << 8 | line as u64,
    };
    let upserts: Vec<_> = symbols(n).into_iter().enumerate().map(upsert).collect();
    batch.replace_symbols(&path_of_file, &upserts)?;
    if let Some(file) = deleted(n) {
        batch.delete_file(&path(writer, file))?;
    }
    let (id, text) = memory(writer, n);
    let key = (writer << 32) + n % MEMORIES + 1;
    batch.upsert_memory(&id, None, &[], &[context], &[], &text, &["tag".into()], 0, 1, key, None, false)?;
    if n.is_multiple_of(LARGE) {
        batch.set_metadata(&format!("large:{writer}"), &large(n))?;
    }
    Ok(())
}

/// How many transactions of a writer are committed.
pub fn commits(tracker: &mut Tracker, writer: u64) -> Result<u64> {
    let commits = tracker.get_metadata(&format!("commits:{writer}"))?;
    Ok(commits.map_or(0, |commits| commits.parse().unwrap()))
}
