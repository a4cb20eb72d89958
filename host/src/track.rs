//! A directory's files into a store: new and changed ones are upserted,
//! vanished ones deleted.
//!
//! Which files have changed is told by `freshness`, so that edits are found
//! that keep the size and set the time back, or that fall into the same tick of
//! the clock as the indexing. `.gitignore`, `.ignore` and `.git/info/exclude`
//! are respected, also outside git repositories; `.git` is left out.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ignore::{DirEntry, WalkBuilder};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::tracker::each_answered;
use crate::types::{FileRecord, FileStat, FileUpsert, Verdict};
use crate::{Error, Result, Tracker};

/// Files asked about in one call.
const CHUNK: usize = 512;
/// Files are recorded soon after they were read: `freshness` counts on less than two seconds.
const RECORD_AFTER: Duration = Duration::from_millis(500);

/// A file that could not be tracked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// The path, as far as it can be shown.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TrackSummary {
    /// Files that were not in the store.
    pub added: u64,
    /// Files whose contents differ from what was recorded.
    pub changed: u64,
    /// Files whose contents are the same, but not their time: recorded anew.
    pub touched: u64,
    /// Files as they were recorded.
    pub unchanged: u64,
    /// Files that are gone, or ignored now.
    pub removed: u64,
    /// What could not be read or named. Their records, if any, stay.
    pub skipped: Vec<Skipped>,
}

/// Brings the store up to date with a directory. `progress` is told the number
/// of files looked at so far; `interrupted` is asked now and then whether to stop.
///
/// A file's content hash is the SHA-256 of its bytes in hexadecimal. A new
/// file's key hash is the first eight bytes, big-endian, of the SHA-256 of
/// `file:` and its path; a known file keeps its key hash, contexts and blob.
///
/// # Errors
///
/// If the directory cannot be read or the store fails. What was recorded until then stays.
pub fn track(
    tracker: &mut Tracker,
    directory: &Path,
    mut progress: impl FnMut(u64),
    interrupted: impl Fn() -> bool,
) -> Result<TrackSummary> {
    let io = |source| Error::Io { path: directory.to_owned(), source };
    let root = directory.canonicalize().map_err(io)?;
    if !root.is_dir() {
        return Err(io(io::ErrorKind::NotADirectory.into()));
    }
    let Some(root_text) = root.to_str().map(str::to_owned) else {
        return Err(Error::InvalidArgument(format!("{} is not UTF-8", root.display())));
    };
    let mut walk = Walk {
        own: tracker.path().to_owned(),
        tracker,
        summary: TrackSummary::default(),
        seen: HashSet::new(),
        unreadable: Vec::new(),
    };
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut looked_at = 0;
    let own = walk.own.clone();
    let entries = WalkBuilder::new(&root)
        .hidden(false)
        .require_git(false)
        .sort_by_file_path(Path::cmp)
        .filter_entry(move |entry| entry.file_name() != ".git" && entry.path() != own)
        .build();
    for entry in entries {
        if interrupted() {
            return Ok(walk.summary);
        }
        if let Some(stat) = walk.look_at(entry) {
            chunk.push(stat);
            looked_at += 1;
        }
        if chunk.len() == CHUNK {
            walk.compare(&chunk)?;
            chunk.clear();
            progress(looked_at);
        }
    }
    walk.compare(&chunk)?;
    progress(looked_at);
    walk.remove_vanished(&root_text)?;
    Ok(walk.summary)
}

struct Walk<'t> {
    tracker: &'t mut Tracker,
    /// The store itself, which is not tracked.
    own: PathBuf,
    summary: TrackSummary,
    seen: HashSet<String>,
    /// Directories whose contents are not known: nothing in them has vanished.
    unreadable: Vec<PathBuf>,
}

impl Walk<'_> {
    fn skip(&mut self, path: &Path, reason: impl ToString) {
        let skipped = Skipped { path: path.to_string_lossy().into_owned(), reason: reason.to_string() };
        self.summary.skipped.push(skipped);
    }

    /// A file to compare, or nothing if the entry is something else.
    fn look_at(&mut self, entry: std::result::Result<DirEntry, ignore::Error>) -> Option<FileStat> {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error_path(&error).unwrap_or_default();
                let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                self.skip(&path, reason);
                self.unreadable.push(path);
                return None;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            return None;
        }
        let Some(path) = entry.path().to_str().map(str::to_owned) else {
            self.skip(entry.path(), "the name is not UTF-8");
            return None;
        };
        self.seen.insert(path.clone());
        match entry.metadata() {
            Ok(metadata) => Some(FileStat { path, mtime: mtime(&metadata), size: size(&metadata) }),
            Err(error) => {
                self.skip(entry.path(), error);
                None
            }
        }
    }

    /// Records the files of a chunk that are new or have changed.
    fn compare(&mut self, stats: &[FileStat]) -> Result<()> {
        if stats.is_empty() {
            return Ok(());
        }
        let verdicts = each_answered(stats.len(), self.tracker.freshness(stats, None)?.verdicts)?;
        let (mut doubtful, mut paths) = (Vec::new(), Vec::new());
        for (stat, verdict) in stats.iter().zip(verdicts) {
            if verdict == Verdict::Fresh {
                self.summary.unchanged += 1;
            } else {
                doubtful.push((stat, verdict));
                paths.push(stat.path.clone());
            }
        }
        let known = each_answered(paths.len(), self.tracker.get_files(&paths)?)?;
        let mut waiting: Vec<FileUpsert> = Vec::new();
        let mut first_read = Instant::now();
        for ((stat, verdict), known) in doubtful.into_iter().zip(known) {
            if waiting.is_empty() {
                first_read = Instant::now();
            }
            let hash = match content_hash(Path::new(&stat.path)) {
                Ok(hash) => hash,
                Err(error) => {
                    self.skip(Path::new(&stat.path), error);
                    continue;
                }
            };
            match &known {
                None => self.summary.added += 1,
                Some(known) if known.content_hash != hash => self.summary.changed += 1,
                Some(_) if verdict == Verdict::Racy => {
                    self.summary.unchanged += 1;
                    continue;
                }
                Some(_) => self.summary.touched += 1,
            }
            waiting.push(upsert(stat, hash, known));
            if first_read.elapsed() >= RECORD_AFTER {
                self.tracker.upsert_files(&std::mem::take(&mut waiting))?;
            }
        }
        if !waiting.is_empty() {
            self.tracker.upsert_files(&waiting)?;
        }
        Ok(())
    }

    /// Deletes the files under `root` that were not seen.
    fn remove_vanished(&mut self, root: &str) -> Result<()> {
        let mut vanished = Vec::new();
        for path in self.tracker.paths(root, 4096) {
            let path = path?;
            let unknown = self.unreadable.iter().any(|directory| Path::new(&path).starts_with(directory));
            if !unknown && !self.seen.contains(&path) {
                vanished.push(path);
            }
        }
        for paths in vanished.chunks(CHUNK) {
            self.summary.removed += self.tracker.delete_files(paths)?;
        }
        Ok(())
    }
}

fn upsert(stat: &FileStat, content_hash: String, known: Option<FileRecord>) -> FileUpsert {
    let (blob_offset, blob_length, key_hash, contexts) = match known {
        Some(known) => (known.blob_offset, known.blob_length, known.key_hash, known.detected_contexts),
        None => (0, 0, key_hash(&stat.path), Vec::new()),
    };
    FileUpsert {
        path: stat.path.clone(),
        mtime: stat.mtime,
        size: stat.size,
        content_hash,
        blob_offset,
        blob_length,
        key_hash,
        contexts,
    }
}

fn key_hash(path: &str) -> u64 {
    let digest = Sha256::new().chain_update("file:").chain_update(path).finalize();
    digest.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

fn content_hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The modification time as Python's `st_mtime` has it.
fn mtime(metadata: &Metadata) -> f64 {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

fn size(metadata: &Metadata) -> i64 {
    i64::try_from(metadata.len()).unwrap_or(i64::MAX)
}

/// The path that an error of the walk is about.
fn error_path(error: &ignore::Error) -> Option<PathBuf> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => error_path(err),
        ignore::Error::Partial(errors) => errors.iter().find_map(error_path),
        ignore::Error::Loop { child, .. } => Some(child.clone()),
        _ => None,
    }
}
