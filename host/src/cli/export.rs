//! `host export` and `host import`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use serde_json::json;
use tracker_host::Tracker;
use tracker_host::export::{self, Import};

use super::{Exit, OpenArgs, Output};

const EXPORT_HELP: &str = "\
Examples:
  host export store -o store.jsonl
  host export store | gzip > store.jsonl.gz
  host export store | jq -c 'select(.file) | .file.path'
  host export --sqlite store tracker.db
Each line is a JSON object with one name, the row's kind, and the row, as export-rows gives
them: {\"metadata\":{\"key\":\"a\",\"value\":\"1\"}}. JSON text columns are strings with their text.
An export holds what was committed when it began, whatever is written meanwhile; while it
runs, the pages that it reads are not used again. Exporting again what was imported gives
the same lines. The file must be new; nothing is under its name until the export is whole.
With --sqlite it is a database that FileTracker opens, with ids, times and sequences. What
its schema cannot hold (conventions, owners, team flags, access counts, ids from 2^63 on) goes
to DATABASE.rest.jsonl, which `host import` reads; the exit code is 3 then.";

/// Write every record of a store as a line of JSON, or to an SQLite database
#[derive(clap::Args)]
#[command(after_help = EXPORT_HELP)]
pub struct ExportArgs {
    /// The store
    store: PathBuf,
    /// How records are written
    #[arg(long, value_enum, default_value = "jsonl", conflicts_with = "sqlite")]
    format: Format,
    /// Write an SQLite database for FileTracker instead
    #[arg(long, requires = "database", conflicts_with = "output")]
    sqlite: bool,
    /// The new database, with --sqlite
    #[arg(requires = "sqlite")]
    database: Option<PathBuf>,
    /// The new file, or `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// JSON Lines
    Jsonl,
}

const IMPORT_HELP: &str = "\
Examples:
  host import store store.jsonl
  gunzip -c store.jsonl.gz | host import store
A record whose key is in the store replaces that one, so an import can be repeated. Records
are committed in batches of ten thousand. An import that stops says which line is at fault
and which lines are in the store; --skip goes on from there.";

/// Read records that `host export` has written into a store
#[derive(clap::Args)]
#[command(after_help = IMPORT_HELP)]
pub struct ImportArgs {
    /// The store, created if it is missing
    store: PathBuf,
    /// The file, or `-` for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Pass over so many lines, which an import that stopped has committed
    #[arg(long, value_name = "LINES", default_value_t = 0)]
    skip: u64,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn export(args: ExportArgs, output: &mut Output) -> Result<Exit> {
    let Format::Jsonl = args.format;
    let tracker = args.open.open(&args.store)?;
    if let Some(database) = &args.database {
        return to_sqlite(&tracker, database, output);
    }
    if args.output == Path::new("-") {
        // Here Ctrl-C may end the process at once: there is no file to leave half.
        export::write_jsonl(&tracker, output.writer(), &|| false)?;
        return Ok(Exit::Done);
    }
    let interrupted = super::interruption()?;
    let rows = export::write_jsonl_file(&tracker, &args.output, &|| interrupted.load(Ordering::SeqCst))?;
    if output.is_json() {
        output.document(&json!({ "file": args.output, "rows": rows }))?;
    } else {
        output.line(format!("{} rows were written to {}", rows.total(), args.output.display()))?;
    }
    Ok(Exit::Done)
}

fn to_sqlite(tracker: &Tracker, database: &Path, output: &mut Output) -> Result<Exit> {
    let interrupted = super::interruption()?;
    let export = export::write_sqlite(tracker, database, &|| interrupted.load(Ordering::SeqCst))?;
    let exit = if export.left_behind.is_empty() { Exit::Done } else { Exit::Noteworthy };
    if output.is_json() {
        output.document(&export)?;
        return Ok(exit);
    }
    output.line(format!("{} rows were written to {}", export.rows.total(), database.display()))?;
    for (what, rows) in &export.left_behind {
        output.line(format!("  {rows} left behind: {what}"))?;
    }
    if let Some(file) = &export.rest_file {
        output.line(format!("what was left behind is in {}", file.display()))?;
    }
    Ok(exit)
}

pub fn import(args: ImportArgs, output: &mut Output) -> Result<Exit> {
    // Opened first: a wrong name does not create a store.
    let mut input: Box<dyn io::BufRead> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
        Box::new(BufReader::with_capacity(1 << 18, file))
    };
    let mut tracker = args.open.options(&args.store).open()?;
    let interrupted = super::interruption()?;
    let import = Import::new(&mut tracker).skip(args.skip).interrupted(|| interrupted.load(Ordering::SeqCst));
    let imported = import.run(&mut *input)?;
    if output.is_json() {
        output.document(&imported)?;
    } else {
        output.line(format!("{} rows were imported from {} lines", imported.rows.total(), imported.lines))?;
    }
    Ok(Exit::Done)
}
