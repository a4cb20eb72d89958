//! `host bench`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use tracker_host::bench::{Bench, Effort, Line, Peer, Source, StoreBench, StoreLine, Watch, plot};
use tracker_host::{Tracker, peak_memory};

use super::{Exit, Output};

const AFTER_HELP: &str = "\
Examples:
  host bench --quick                            a minute
  host bench --rows 10000,100000 --plot bench.svg
  host bench --rows 1000000 --peers rusqlite    the stores have to fit into memory together
  host bench --database tracker.db              with the data of a real database
  host bench --store 'postgres://me@host/db?namespace=bench'

The peers hold the same data and do the same work: rusqlite with FileTracker's schema, and
what one would write by hand on LMDB (heed) and on redb. Times are medians. Ratios are
medians of the ratios within a round, below 1 where the tracker is faster. `no-sync / NORMAL`
commits without syncing on all sides, `sync / FULL` syncs every commit. Build with --release.
Each peer has a store of its own; for a million files the four need 25 GB. --peers leaves some out.
With --store it is that store beside LMDB: time and round trips of a call, clients that work at
the same time, and rows of an import by rows a transaction. The store must be empty.";

/// Compare the tracker with SQLite and hand-written LMDB and redb
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// How many files to generate, each with ten symbols; several sizes separated by commas
    /// [default: 10000; with --plot 10000,100000]
    #[arg(long, value_name = "FILES", value_delimiter = ',', conflicts_with = "database")]
    rows: Vec<usize>,
    /// Measure with the data of this SQLite database of FileTracker
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Compare only with these peers, separated by commas [default: rusqlite,heed,redb]
    #[arg(long, value_name = "PEERS", value_delimiter = ',')]
    peers: Vec<PeerArg>,
    /// Shorter slices, fewer rounds, batches of 200 files instead of 1,000
    #[arg(long)]
    quick: bool,
    /// Measure only the rows whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Draw time against size into this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Measure this empty store, for instance on a server, beside LMDB
    #[arg(long, value_name = "STORE", conflicts_with_all = ["database", "plot", "only", "peers"])]
    store: Option<PathBuf>,
    /// Work in this directory, on the disk that matters [default: a temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// The seed of the random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A peer, or the word for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PeerArg {
    /// FileTracker's schema in SQLite
    Rusqlite,
    /// What one would write by hand on LMDB
    Heed,
    /// What one would write by hand on redb
    Redb,
    /// The tracker alone
    None,
}

impl PeerArg {
    fn named(&self) -> Result<Peer> {
        Ok(match self {
            PeerArg::Rusqlite => Peer::Rusqlite,
            PeerArg::Heed => Peer::Heed,
            PeerArg::Redb => Peer::Redb,
            PeerArg::None => bail!("--peers none measures the tracker alone; it cannot stand beside other peers"),
        })
    }
}

/// The fewest files that a batch and samples can be taken from.
const LEAST: usize = 100;

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    if let Some(few) = args.rows.iter().find(|rows| **rows < LEAST) {
        bail!("--rows {few} is too few to measure with; take {LEAST} or more");
    }
    let peers = match &args.peers[..] {
        [] => Peer::OTHERS.to_vec(),
        [PeerArg::None] => Vec::new(),
        named => named.iter().map(PeerArg::named).collect::<Result<_>>()?,
    };
    let sources = match (&args.database, &args.rows[..]) {
        (Some(database), _) => vec![Source::Database(database.clone())],
        (None, []) if args.plot.is_some() => vec![Source::Generated(10_000), Source::Generated(100_000)],
        (None, []) => vec![Source::Generated(10_000)],
        (None, rows) => rows.iter().map(|rows| Source::Generated(*rows)).collect(),
    };
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its times say little. Run `cargo run --release -- bench`");
    }
    let place = match &args.directory {
        Some(directory) => tempfile::Builder::new().prefix("host-bench-").tempdir_in(directory),
        None => tempfile::Builder::new().prefix("host-bench-").tempdir(),
    };
    let place = place.context("no directory to work in; name one with --directory")?;
    let interrupted = super::interruption()?;
    let rows = Rows { output: RefCell::new(output), failed: RefCell::new(None) };
    let watch = Watch {
        progress: Box::new(|doing| tracing::info!("{doing}")),
        // Nothing is left to measure for where rows can no more be printed, as into a closed pipe.
        interrupted: Box::new(|| interrupted.load(Ordering::SeqCst) || rows.failed.borrow().is_some()),
    };
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    if let Some(store) = &args.store {
        rows.text(StoreLine::heading())?;
        let bench = StoreBench {
            store: Tracker::options(store),
            directory: place.path(),
            files: args.rows.first().copied().unwrap_or(1_000).max(2 * LEAST),
            effort,
            watch,
            line: Box::new(|line| rows.row(line, line.text())),
        };
        let measured = bench.run();
        rows.printed()?;
        measured?;
        return Ok(Exit::Done);
    }
    rows.text(Line::heading())?;
    let bench = Bench {
        sources,
        peers,
        effort,
        only: args.only,
        host: Some(std::env::current_exe().context("this program's own path")?),
        directory: place.path().to_owned(),
        seed: args.seed,
        watch,
        line: Box::new(|line| rows.row(line, line.text())),
    };
    let lines = bench.run();
    rows.printed()?;
    let lines = lines?;
    if let Some(file) = &args.plot {
        plot(&lines, file)?;
    }
    if let Some(bytes) = peak_memory() {
        rows.text(format!("peak memory of this process, with the peers: {} MB", bytes / 1_000_000))?;
    }
    Ok(Exit::Done)
}

/// Where rows are printed as they are measured.
struct Rows<'o> {
    output: RefCell<&'o mut Output>,
    /// The first error.
    failed: RefCell<Option<anyhow::Error>>,
}

impl Rows<'_> {
    /// Prints a line about the rows, which JSON has not.
    fn text(&self, text: String) -> Result<()> {
        let mut output = self.output.borrow_mut();
        if !output.is_json() {
            output.line(text)?;
            output.flush()?;
        }
        Ok(())
    }

    fn row(&self, row: &impl serde::Serialize, text: String) {
        let mut output = self.output.borrow_mut();
        let printed = if output.is_json() { output.document(row) } else { output.line(text) };
        if let Err(error) = printed.and_then(|()| output.flush()) {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// The error, if a row could not be printed: it ended the benchmark.
    fn printed(&self) -> Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}
