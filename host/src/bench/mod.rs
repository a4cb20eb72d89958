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
mod watch;
mod works;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Clock, Tracker};

pub use measure::Effort;
pub use report::Line;
pub use store::{StoreBench, StoreLine};
pub use subject::{BenchError, Change, Peer, Result, Subject};
pub use watch::Watch;
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
    /// Whom to compare the tracker with. A store for each is filled, and all
    /// of them should fit into memory: see [`prepare`].
    pub peers: Vec<Peer>,
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
    /// Told what is being done, and asked whether to stop.
    pub watch: Watch<'a>,
    /// Given each row when it is measured.
    pub line: Box<dyn FnMut(&Line) + 'a>,
}

impl Effort {
    /// A measurement of about a minute.
    pub const QUICK: Effort = Effort {
        slice: Duration::from_millis(4),
        rounds: 15,
        batches: 7,
        batch: 200,
        longest: Duration::from_secs(20),
    };
    /// A measurement to publish.
    pub const FULL: Effort = Effort {
        slice: Duration::from_millis(10),
        rounds: 41,
        batches: 15,
        batch: 1000,
        longest: Duration::from_secs(90),
    };
}

/// The peers on a directory that [`prepare`] has filled.
pub struct Peers {
    /// The tracker first, then the others.
    pub subjects: Vec<Box<dyn Subject>>,
    /// What to ask them for.
    pub samples: Samples,
    /// The tracker's store.
    pub store: PathBuf,
    /// An SQLite database of the data: the source, or the peer's if it was asked for.
    pub database: Option<PathBuf>,
    /// The environment of the hand-written peer on LMDB, if it was asked for.
    pub lmdb: PathBuf,
}

/// Fills a directory with the data of the tracker and its peers, and reads it
/// once: where the stores fit into memory together, no look-up waits for the
/// disk, and where they do not, what is measured is whose pages were lost.
///
/// # Errors
///
/// If the data cannot be made, or the benchmark is stopped.
pub fn prepare(
    directory: &Path,
    source: &Source,
    peers: &[Peer],
    batch: usize,
    clock: &Clock,
    random: &mut fastrand::Rng,
    watch: &mut Watch<'_>,
) -> Result<Peers> {
    let store = directory.join("store");
    let (database, lmdb, redb) = (directory.join("sqlite.db"), directory.join("lmdb"), directory.join("redb"));
    match source {
        Source::Generated(files) => {
            watch.fill("the tracker's store", Tracker::options(&store).clock(clock.clone()), *files)?;
        }
        Source::Database(path) => {
            watch.step("migrating the database")?;
            let migration = crate::migrate::Migration::new(path, &store, Tracker::options(&store));
            migration.backup(None).interrupted(&watch.interrupted).run()?;
        }
    }
    let mut tracker = Tracker::open(&store)?;
    let samples = Samples::of(&mut tracker, batch, random)?;
    if peers.contains(&Peer::Rusqlite) {
        watch.step("filling the SQLite peer")?;
        crate::export::write_sqlite(&tracker, &database, &watch.interrupted)?;
    }
    // The environment is opened once in a process.
    drop(tracker);
    if peers.contains(&Peer::Heed) {
        watch.step("filling the LMDB peer")?;
        std::fs::create_dir_all(&lmdb).map_err(io(&lmdb))?;
        std::fs::copy(store.join("data.mdb"), lmdb.join("data.mdb")).map_err(io(&lmdb))?;
    }
    let filled = if peers.contains(&Peer::Redb) {
        watch.step("filling the redb peer")?;
        Some(kv::Redb::fill(&redb, &kv::Lmdb::open(&store, true)?)?)
    } else {
        None
    };
    watch.step("reading everything once")?;
    read_all(directory)?;
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(tracker::TrackerSubject::open(&store, clock)?)];
    if peers.contains(&Peer::Rusqlite) {
        subjects.push(Box::new(sqlite::SqliteSubject::open(&database, clock)?));
    }
    if peers.contains(&Peer::Heed) {
        subjects.push(Box::new(native::Native::new(kv::Lmdb::open(&lmdb, true)?, clock)));
    }
    if let Some(redb) = filled {
        subjects.push(Box::new(native::Native::new(redb, clock)));
    }
    let database = match source {
        Source::Generated(_) => peers.contains(&Peer::Rusqlite).then_some(database),
        Source::Database(path) => Some(path.clone()),
    };
    Ok(Peers { subjects, samples, store, database, lmdb })
}

/// Writes what a directory's files still have to write, and reads them once.
fn read_all(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory).map_err(io(directory))? {
        let path = entry.map_err(io(directory))?.path();
        if path.is_dir() {
            read_all(&path)?;
        } else {
            let read = |mut file: std::fs::File| {
                file.sync_all()?;
                std::io::copy(&mut file, &mut std::io::sink())
            };
            std::fs::File::open(&path).and_then(read).map_err(io(&path))?;
        }
    }
    Ok(())
}

impl Bench<'_> {
    /// Measures everything and returns the rows.
    ///
    /// # Errors
    ///
    /// If a peer fails, or the benchmark is stopped.
    pub fn run(mut self) -> Result<Vec<Line>> {
        let measured = self.measure();
        self.watch.ended(measured)
    }

    fn measure(&mut self) -> Result<Vec<Line>> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut lines = Vec::new();
        for (number, source) in self.sources.clone().into_iter().enumerate() {
            let directory = self.directory.join(number.to_string());
            std::fs::create_dir_all(&directory).map_err(io(&directory))?;
            let mut peers = prepare(
                &directory,
                &source,
                &self.peers,
                self.effort.batch,
                &Clock::system(),
                &mut random,
                &mut self.watch,
            )?;
            let migrates = number == 0 && self.wants("host migrate");
            if let (true, Some(host), Some(database)) = (migrates, &self.host, &peers.database) {
                self.watch.step("migrating in processes of their own")?;
                let runs = if self.effort.rounds > Effort::QUICK.rounds { 5 } else { 1 };
                let (migrated, enough) = (directory.join("migrated"), self.effort.longest);
                let migrated = process::migrate(host, database, &migrated, runs, enough, &self.watch)?;
                migrated.into_iter().for_each(|line| self.add(line, &mut lines));
            }
            for row in &ROWS {
                if !self.wants(row.name) {
                    continue;
                }
                self.watch.step(row.name)?;
                let Peers { subjects, samples, .. } = &mut peers;
                let measured = measure::measure(row.work, subjects, samples, self.effort, &mut random, &self.watch)?;
                self.add(Line::of(row, samples.files(), &measured), &mut lines);
            }
            let store = peers.store.clone();
            drop(peers);
            if let Some(host) = self.host.clone().filter(|_| self.wants("host call") && number == 0) {
                self.watch.step("starting processes")?;
                let started = process::start(&host, &store, self.effort.rounds, &self.watch)?;
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
