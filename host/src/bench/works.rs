//! The rows of the table: what is measured, and the targets.

use super::data;
use super::subject::{BenchError, Change, Result, Subject};
use crate::Tracker;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A file by its path.
    GetFile,
    /// A hundred files by their paths, in one call.
    GetFiles,
    /// A file by its key hash.
    GetFileByKey,
    /// The symbols of a file.
    GetSymbols,
    /// The symbols whose name contains a rare text.
    FindSymbols,
    /// All files, in pages.
    ListFiles,
    /// The ten files indexed last.
    RecentFiles,
    /// The memories with a tag.
    MemoriesByTag,
    /// The files with a context.
    FilesByContext,
    /// New files with new symbols in one transaction that survives a crash of the process.
    BatchFresh,
    /// New files with new symbols in one transaction that survives a loss of power.
    BatchFreshDurable,
    /// The same files and symbols once more.
    BatchAgain,
    /// A file in a transaction of its own that survives a loss of power.
    UpsertFile,
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The work.
    pub work: Work,
    /// Its name.
    pub name: &'static str,
    /// What the time is of.
    pub per: &'static str,
    /// The greatest ratio to rusqlite that meets the target.
    pub max_sqlite: Option<f64>,
    /// The greatest ratio to hand-written LMDB that meets the target.
    pub max_heed: Option<f64>,
    /// False if the time has to grow with the data.
    pub flat: bool,
}

const fn row(
    work: Work,
    name: &'static str,
    per: &'static str,
    max_sqlite: Option<f64>,
    max_heed: Option<f64>,
    flat: bool,
) -> Row {
    Row { work, name, per, max_sqlite, max_heed, flat }
}

/// The rows, reads before writes.
pub const ROWS: [Row; 13] = [
    row(Work::GetFile, "get-file", "call", Some(0.4), Some(1.5), true),
    row(Work::GetFiles, "get-files, 100 a call", "record", Some(0.25), Some(1.0), true),
    row(Work::GetFileByKey, "get-file-by-key", "call", Some(0.4), None, true),
    row(Work::GetSymbols, "get-symbols of a file", "call", Some(0.4), None, true),
    row(Work::FindSymbols, "scan and filter all symbols", "symbol", Some(1.0), Some(1.0), false),
    row(Work::ListFiles, "list-files, all pages", "record", Some(0.85), None, false),
    row(Work::RecentFiles, "get-recent-files(10)", "call", Some(0.1), None, true),
    row(Work::MemoriesByTag, "query-memories by tag", "call", Some(0.1), None, true),
    row(Work::FilesByContext, "list-files-by-context", "call", Some(0.1), None, true),
    row(Work::UpsertFile, "upsert-file, sync / FULL", "call", Some(1.0), None, true),
    row(Work::BatchFresh, "new batch, no-sync / NORMAL", "row", Some(0.9), Some(1.2), true),
    row(Work::BatchAgain, "same batch again, no-sync / NORMAL", "row", Some(0.2), None, true),
    row(Work::BatchFreshDurable, "new batch, sync / FULL", "row", Some(1.0), Some(1.2), true),
];

impl Work {
    /// True for commits that have to survive a loss of power. Of the others
    /// SQLite's NORMAL does not sync a commit, and neither does no-sync.
    pub fn durable(self) -> bool {
        !matches!(self, Work::BatchFresh | Work::BatchAgain)
    }

    /// True for batches, which are measured one at a time.
    pub fn is_batch(self) -> bool {
        matches!(self, Work::BatchFresh | Work::BatchFreshDurable | Work::BatchAgain)
    }

    /// True if it changes the data.
    pub fn writes(self) -> bool {
        self.is_batch() || self == Work::UpsertFile
    }
}

/// What to ask for: taken from the data at random, the same for all.
pub struct Samples {
    paths: Vec<String>,
    keys: Vec<u64>,
    contexts: Vec<String>,
    tags: Vec<String>,
    filters: Vec<String>,
    files: usize,
    symbols: usize,
    batch: usize,
    change: Change,
    series: usize,
}

/// Files, and symbols of them, that are asked for.
const SAMPLES: usize = 4096;
/// How many files a page of the sampling has.
const PAGE: u32 = 1000;

impl Samples {
    /// Samples of a store.
    pub fn of(tracker: &mut Tracker, batch: usize, random: &mut fastrand::Rng) -> Result<Self> {
        let mut samples = Samples {
            paths: Vec::new(),
            keys: Vec::new(),
            contexts: Vec::new(),
            tags: Vec::new(),
            filters: Vec::new(),
            files: 0,
            symbols: usize::try_from(tracker.symbol_count()?).unwrap_or(usize::MAX),
            batch,
            change: Change::default(),
            series: 0,
        };
        let every = usize::try_from(tracker.file_count()?).unwrap_or(usize::MAX).div_ceil(SAMPLES * 4).max(1);
        for file in tracker.files(PAGE) {
            let file = file?;
            samples.files += 1;
            if random.usize(..every) == 0 {
                samples.keys.push(file.key_hash);
                samples.paths.push(file.path);
                samples.contexts.extend(file.detected_contexts);
            }
        }
        for memory in tracker.memories(PAGE).take(SAMPLES * 4) {
            samples.tags.extend(memory?.tags);
        }
        random.shuffle(&mut samples.paths);
        random.shuffle(&mut samples.keys);
        rare(&mut samples.contexts, random);
        rare(&mut samples.tags, random);
        for path in samples.paths.iter().take(64) {
            // A whole name: it is in few files.
            samples.filters.extend(tracker.get_symbols(path)?.into_iter().next().map(|symbol| symbol.name));
        }
        for (list, what) in [
            (&samples.paths, "file"),
            (&samples.contexts, "file with a context"),
            (&samples.tags, "memory with a tag"),
            (&samples.filters, "symbol"),
        ] {
            if list.is_empty() {
                return Err(BenchError::NoData(what));
            }
        }
        Ok(samples)
    }

    /// A new batch, the same for all that are compared.
    pub fn next_change(&mut self) {
        self.series += 1;
        self.change = data::change(&format!("new-{}", self.series), 0..self.batch);
    }

    /// What one run of the work returns or writes, in its unit.
    fn units(&self, work: Work) -> usize {
        match work {
            Work::GetFiles => 100,
            Work::FindSymbols => self.symbols,
            Work::ListFiles => self.files,
            Work::BatchFresh | Work::BatchFreshDurable | Work::BatchAgain => self.batch * (1 + data::SYMBOLS),
            _ => 1,
        }
    }

    /// Does the work once, for the `turn`-th time. Returns how many units that was.
    pub fn run(&self, work: Work, turn: usize, subject: &mut dyn Subject) -> Result<usize> {
        fn at<T>(list: &[T], turn: usize) -> &T {
            &list[turn % list.len()]
        }
        use std::hint::black_box;
        match work {
            Work::GetFile => drop(black_box(subject.get_file(at::<String>(&self.paths, turn))?)),
            Work::GetFiles => {
                let first = turn * 100 % (self.paths.len().saturating_sub(100).max(1));
                let asked = &self.paths[first..self.paths.len().min(first + 100)];
                drop(black_box(subject.get_files(asked)?));
                return Ok(asked.len());
            }
            Work::GetFileByKey => drop(black_box(subject.get_file_by_key(*at(&self.keys, turn))?)),
            Work::GetSymbols => drop(black_box(subject.get_symbols(at::<String>(&self.paths, turn))?)),
            Work::FindSymbols => drop(black_box(subject.find_symbols(at::<String>(&self.filters, turn))?)),
            Work::ListFiles => drop(black_box(subject.list_files()?)),
            Work::RecentFiles => drop(black_box(subject.recent_files()?)),
            Work::MemoriesByTag => drop(black_box(subject.memories_by_tag(at::<String>(&self.tags, turn))?)),
            Work::FilesByContext => drop(black_box(subject.files_by_context(at::<String>(&self.contexts, turn))?)),
            Work::BatchFresh | Work::BatchFreshDurable | Work::BatchAgain => subject.apply(&self.change)?,
            Work::UpsertFile => {
                let mut file = data::file("one", turn % 1000);
                file.size = turn as i64;
                subject.upsert_file(&file)?;
            }
        }
        Ok(self.units(work))
    }

    /// How many files the store had.
    pub fn files(&self) -> usize {
        self.files
    }
}

/// Leaves those that few share: the others measure how long lists are made.
fn rare(texts: &mut Vec<String>, random: &mut fastrand::Rng) {
    let mut counts = std::collections::HashMap::new();
    for text in texts.iter() {
        *counts.entry(text.clone()).or_insert(0usize) += 1;
    }
    let mut by_count: Vec<(usize, String)> = counts.into_iter().map(|(text, n)| (n, text)).collect();
    by_count.sort();
    by_count.truncate(256);
    *texts = by_count.into_iter().map(|(_, text)| text).collect();
    random.shuffle(texts);
}
