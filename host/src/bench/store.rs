//! A store of the user's choice, for instance on a server, beside LMDB: the
//! time and the round trips of a call, clients that work at the same time, and
//! how many rows a transaction should import.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::measure::median;
use super::subject::{BenchError, Result};
use super::watch::Watch;
use super::{Effort, data};
use crate::types::{MetadataRow, Row};
use crate::{Options, Tracker};

/// Rows a call of an import.
const ROWS_PER_CALL: usize = 1_000;
const CLIENTS: [usize; 3] = [1, 4, 16];
const GROUPS: [usize; 5] = [100, 1_000, 4_000, 10_000, 40_000];

/// A measurement.
pub struct StoreBench<'a> {
    /// An empty store.
    pub store: Options,
    /// A directory that is empty, for LMDB's.
    pub directory: &'a Path,
    /// Files, each with ten symbols.
    pub files: usize,
    /// How long to measure.
    pub effort: Effort,
    /// Told what is being done, and asked whether to stop.
    pub watch: Watch<'a>,
    /// Given each row when it is measured.
    pub line: Box<dyn FnMut(&StoreLine) + 'a>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoreLine {
    /// The work.
    pub name: String,
    /// What the figures are of.
    pub unit: &'static str,
    /// The store's.
    pub store: f64,
    /// LMDB's, with commits that are synced.
    pub lmdb: f64,
    /// Round trips a call of the store.
    pub round_trips: Option<u64>,
}

impl StoreLine {
    /// What the columns are.
    pub fn heading() -> String {
        format!("{:34} {:>12} {:>12} {:>12}  unit", "work", "store", "lmdb", "round trips")
    }

    /// The row as text.
    pub fn text(&self) -> String {
        let trips = self.round_trips.map(|trips| trips.to_string()).unwrap_or_default();
        let (name, unit) = (&self.name, self.unit);
        format!("{name:34} {:>12.1} {:>12.1} {trips:>12}  {unit}", self.store, self.lmdb)
    }
}

type Call = fn(&mut Tracker, usize) -> crate::Result<()>;

fn path(n: usize) -> String {
    data::file("base", n).path
}

/// What is called with the number of a file.
const CALLS: [(&str, Call); 10] = [
    ("get-file", |tracker, n| tracker.get_file(&path(n)).map(drop)),
    ("get-file-by-key", |tracker, n| tracker.get_file_by_key(data::file("base", n).key_hash).map(drop)),
    ("get-files, 100", |tracker, n| tracker.get_files(&(n..n + 100).map(path).collect::<Vec<_>>()).map(drop)),
    ("get-symbols, ten", |tracker, n| tracker.get_symbols(&path(n)).map(drop)),
    ("get-recent-files(10)", |tracker, _| tracker.get_recent_files(10).map(drop)),
    ("list-files(1000)", |tracker, _| tracker.list_files(None, 1000).map(drop)),
    ("set-metadata", |tracker, n| tracker.set_metadata("bench", &n.to_string())),
    ("upsert-file, new", |tracker, n| upsert(tracker, "new", n)),
    ("upsert-file, again", |tracker, n| upsert(tracker, "base", n)),
    ("replace-symbols, ten", |tracker, n| {
        let file = data::file("base", n);
        let mut symbols = data::symbols(&file, n);
        symbols.iter_mut().for_each(|symbol| symbol.line_start += 1);
        tracker.replace_symbols(&file.path, &symbols).map(drop)
    }),
];

fn upsert(tracker: &mut Tracker, series: &str, n: usize) -> crate::Result<()> {
    let mut file = data::file(series, n);
    file.size += 1;
    tracker.upsert_files(&[file])
}

impl StoreBench<'_> {
    /// Measures everything. The store keeps what was written to it.
    ///
    /// # Errors
    ///
    /// If the store is not empty, or fails, or the benchmark is stopped.
    pub fn run(mut self) -> Result<()> {
        let measured = self.measure();
        self.watch.ended(measured)
    }

    fn measure(&mut self) -> Result<()> {
        let mut store = self.store.clone().open()?;
        if store.file_count()? > 0 {
            return Err(BenchError::NotEmpty(store.path().to_owned()));
        }
        let options = Tracker::options(self.directory.join("lmdb"));
        let mut lmdb = options.clone().open()?;
        self.import(&mut store, &mut lmdb)?;
        // A process has an environment open with one durability at a time.
        drop((store, lmdb));
        self.watch.fill("the store", self.store.clone(), self.files)?;
        self.watch.fill("LMDB's store", options.clone(), self.files)?;
        let (mut store, mut lmdb) = (self.store.clone().open()?, options.open()?);
        for (name, call) in CALLS {
            self.watch.step(name)?;
            let local = self.time(&mut lmdb, call)?;
            let remote = self.time(&mut store, call)?;
            store.set_explain(true);
            store.take_explain();
            call(&mut store, self.files - 101)?;
            let round_trips = Some(store.take_explain().round_trips);
            store.set_explain(false);
            self.add(name.to_owned(), "µs", remote, local, round_trips);
        }
        for (name, call) in [CALLS[0], CALLS[8]] {
            for clients in CLIENTS {
                self.watch.check()?;
                let local = self.throughput(&lmdb, clients, call)?;
                let remote = self.throughput(&store, clients, call)?;
                self.add(format!("{name}, {clients} clients"), "calls/s", remote, local, None);
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, unit: &'static str, store: f64, lmdb: f64, round_trips: Option<u64>) {
        (self.line)(&StoreLine { name, unit, store, lmdb, round_trips });
    }

    /// The median time of a call, in microseconds.
    fn time(&self, tracker: &mut Tracker, call: Call) -> Result<f64> {
        let mut times = Vec::new();
        let began = Instant::now();
        let (least, time) = (20, self.effort.slice * 50);
        while times.len() < least || began.elapsed() < time {
            let n = times.len() * 37 % (self.files - 100);
            let asked = Instant::now();
            call(tracker, n)?;
            times.push(asked.elapsed().as_nanos() as f64 / 1000.0);
        }
        Ok(median(times).unwrap_or(f64::NAN))
    }

    /// Calls a second of so many sessions at the same time, each on files of its own.
    fn throughput(&self, tracker: &Tracker, clients: usize, call: Call) -> Result<f64> {
        let (stop, barrier) = (AtomicBool::new(false), Barrier::new(clients + 1));
        let trackers = (0..clients).map(|_| tracker.try_clone()).collect::<crate::Result<Vec<_>>>()?;
        let time = self.effort.slice * 150;
        std::thread::scope(|scope| {
            let (stop, barrier) = (&stop, &barrier);
            let work = |(client, mut tracker): (usize, Tracker)| {
                let files = self.files - 100;
                scope.spawn(move || {
                    // So that connections are made and code is there.
                    let mut made = call(&mut tracker, client).map(|()| 0u64);
                    barrier.wait();
                    let mut n = 0;
                    while let (Ok(calls), false) = (&mut made, stop.load(Ordering::Relaxed)) {
                        *calls += 1;
                        n += 1;
                        if let Err(error) = call(&mut tracker, (client + n * clients) % files) {
                            made = Err(error);
                        }
                    }
                    made
                })
            };
            let threads: Vec<_> = trackers.into_iter().enumerate().map(work).collect();
            barrier.wait();
            let began = Instant::now();
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
            let mut calls = 0;
            for thread in threads {
                calls += thread.join().map_err(|_| BenchError::Panicked)??;
            }
            Ok(calls as f64 / began.elapsed().max(Duration::from_millis(1)).as_secs_f64())
        })
    }

    /// Rows a second of an import, by rows a transaction.
    fn import(&mut self, store: &mut Tracker, lmdb: &mut Tracker) -> Result<()> {
        for (number, group) in GROUPS.into_iter().enumerate() {
            self.watch.step("importing rows")?;
            let rows = if group < 1000 { 2_000 } else { group.max(8_000) };
            let rate = |tracker: &mut Tracker| -> Result<f64> {
                let began = Instant::now();
                for start in (0..rows).step_by(group) {
                    let mut batch = tracker.batch()?;
                    let rows: Vec<Row> = (start..start + group).map(|n| metadata(number, n)).collect();
                    for rows in rows.chunks(ROWS_PER_CALL) {
                        batch.import_rows(rows)?;
                    }
                    batch.commit()?;
                }
                Ok(rows as f64 / began.elapsed().as_secs_f64())
            };
            let (remote, local) = (rate(store)?, rate(lmdb)?);
            self.add(format!("import, {group} rows a transaction"), "rows/s", remote, local, None);
        }
        Ok(())
    }
}

fn metadata(series: usize, n: usize) -> Row {
    Row::Metadata(MetadataRow { key: format!("import/{series}/{n}"), value: format!("{n:0200}") })
}
