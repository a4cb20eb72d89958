//! The tracker side by side with SQLite and with what one would write by hand
//! on LMDB and redb. The command is `host bench`.
//!
//! All peers hold the same files, symbols and memories, return owned values
//! with the same fields, maintain the same indexes, and commit with the same
//! durability. The hand-written peers keep the tracker's own tables: LMDB a
//! copy of its environment, redb a copy of its entries.

mod data;
mod kv;
mod measure;
mod native;
mod plot;
mod process;
mod report;
mod sqlite;
mod store;
mod subject;
mod tracker;
mod works;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Clock, Tracker};

pub use measure::Effort;
pub use report::Line;
pub use store::{StoreBench, StoreLine};
pub use subject::{BenchError, Change, Result, Subject};
pub use works::{ROWS, Row, Samples, Work};

use subject::io;

/// Where the data comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// So many generated files, each with ten symbols, and as many memories.
    Generated(usize),
    /// An SQLite database of FileTracker.
    Database(PathBuf),
}

/// A benchmark.
pub struct Bench<'a> {
    /// The sources, one after the other.
    pub sources: Vec<Source>,
    /// How long to measure.
    pub effort: Effort,
    /// The rows to measure whose names contain this.
    pub only: Option<String>,
    /// The `host` command, for the figures of whole processes; none to leave them out.
    pub host: Option<PathBuf>,
    /// Where to work: a directory that is empty.
    pub directory: PathBuf,
    /// The seed of the random choices.
    pub seed: u64,
    /// Told what is being done.
    pub progress: Box<dyn FnMut(&str) + 'a>,
    /// Given each row when it is measured.
    pub line: Box<dyn FnMut(&Line) + 'a>,
}

impl Effort {
    /// A measurement of about a minute.
    pub const QUICK: Effort = Effort { slice: Duration::from_millis(4), rounds: 15, batches: 7, batch: 200 };
    /// A measurement to publish.
    pub const FULL: Effort = Effort { slice: Duration::from_millis(10), rounds: 41, batches: 15, batch: 1000 };
}

/// The peers on a directory that [`prepare`] has filled.
pub struct Peers {
    /// The tracker first, then rusqlite, heed, redb.
    pub subjects: Vec<Box<dyn Subject>>,
    /// What to ask them for.
    pub samples: Samples,
    /// The tracker's store.
    pub store: PathBuf,
    /// The hand-written LMDB peer's environment.
    pub lmdb: PathBuf,
}

/// Fills a directory with the peers' data.
///
/// # Errors
///
/// If the data cannot be made.
pub fn prepare(
    directory: &Path,
    source: &Source,
    batch: usize,
    clock: &Clock,
    random: &mut fastrand::Rng,
    progress: &mut dyn FnMut(&str),
) -> Result<Peers> {
    let store = directory.join("store");
    let (database, lmdb, redb) = (directory.join("sqlite.db"), directory.join("lmdb"), directory.join("redb"));
    match source {
        Source::Generated(files) => {
            data::fill(Tracker::options(&store).clock(clock.clone()), *files, &mut |done| {
                progress(&format!("generating files: {done} of {files}"));
            })?;
        }
        Source::Database(path) => {
            progress("migrating the database");
            crate::migrate::Migration::new(path, &store, Tracker::options(&store)).backup(None).run()?;
        }
    }
    std::fs::create_dir_all(&lmdb).map_err(io(&lmdb))?;
    std::fs::copy(store.join("data.mdb"), lmdb.join("data.mdb")).map_err(io(&lmdb))?;
    let mut tracker = Tracker::open(&store)?;
    let samples = Samples::of(&mut tracker, batch, random)?;
    progress("filling the SQLite peer");
    crate::export::write_sqlite(&tracker, &database, &|| false)?;
    drop(tracker);
    let heed = kv::Lmdb::open(&lmdb, true)?;
    progress("filling the redb peer");
    let redb = kv::Redb::fill(&redb, &heed)?;
    let subjects: Vec<Box<dyn Subject>> = vec![
        Box::new(tracker::TrackerSubject::open(&store, clock)?),
        Box::new(sqlite::SqliteSubject::open(&database, clock)?),
        Box::new(native::Native::new(heed, clock)),
        Box::new(native::Native::new(redb, clock)),
    ];
    Ok(Peers { subjects, samples, store, lmdb })
}

impl Bench<'_> {
    /// Measures everything and returns the rows.
    ///
    /// # Errors
    ///
    /// If a peer fails.
    pub fn run(mut self) -> Result<Vec<Line>> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut lines = Vec::new();
        for (number, source) in self.sources.clone().into_iter().enumerate() {
            let directory = self.directory.join(number.to_string());
            std::fs::create_dir_all(&directory).map_err(io(&directory))?;
            let mut peers =
                prepare(&directory, &source, self.effort.batch, &Clock::system(), &mut random, &mut self.progress)?;
            if let Some(host) = self.host.clone().filter(|_| self.wants("host migrate") && number == 0) {
                (self.progress)("migrating in processes of their own");
                let database = match source {
                    Source::Generated(_) => directory.join("sqlite.db"),
                    Source::Database(path) => path,
                };
                let runs = if self.effort.rounds > Effort::QUICK.rounds { 5 } else { 1 };
                let migrated = process::migrate(&host, &database, &directory.join("migrated"), runs)?;
                migrated.into_iter().for_each(|line| self.add(line, &mut lines));
            }
            for row in &ROWS {
                if !self.wants(row.name) {
                    continue;
                }
                (self.progress)(row.name);
                let Peers { subjects, samples, .. } = &mut peers;
                let measured = measure::measure(row.work, subjects, samples, self.effort, &mut random)?;
                self.add(Line::of(row, samples.files(), &measured), &mut lines);
            }
            let store = peers.store.clone();
            drop(peers);
            if let Some(host) = self.host.clone().filter(|_| self.wants("host call") && number == 0) {
                (self.progress)("starting processes");
                let started = process::start(&host, &store, self.effort.rounds)?;
                started.into_iter().for_each(|line| self.add(line, &mut lines));
            }
            std::fs::remove_dir_all(&directory).map_err(io(&directory))?;
        }
        Ok(lines)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    fn add(&mut self, line: Line, lines: &mut Vec<Line>) {
        (self.line)(&line);
        lines.push(line);
    }
}

/// Draws time against size, a chart a row, as SVG.
///
/// # Errors
///
/// If the file cannot be written.
pub fn plot(lines: &[Line], file: &Path) -> Result<()> {
    plot::draw(lines, file)
}
