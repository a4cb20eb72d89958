//! `host migrate`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::Result;
use indicatif::ProgressBar;
use tracker_host::migrate::{Existing, Migration, Progress};

use super::output::bar;
use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host migrate tracker.db store
  host migrate tracker.db store --no-backup --json
  host migrate tracker.db store --resume          after an interruption

The database is opened for reading only and first copied to <database>.bak. Rows that the
typed schema cannot hold (a BLOB in a TEXT column, a NULL key, a negative thread id) go to
<store>.rejects.jsonl; the exit code is 3 then. Everything is read back and compared before
the store is marked as complete.";

/// Migrate an SQLite database of FileTracker into a store
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The SQLite database
    database: PathBuf,
    /// The store, new or empty
    store: PathBuf,
    /// Go on with an interrupted migration
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Replace what the store holds
    #[arg(long)]
    force: bool,
    /// Do not copy the database first
    #[arg(long)]
    no_backup: bool,
    /// Copy the database to this file instead of DATABASE.bak
    #[arg(long, value_name = "FILE", conflicts_with = "no_backup")]
    backup: Option<PathBuf>,
    /// Take missing tables as empty (databases of old versions)
    #[arg(long)]
    allow_missing: bool,
    /// Leave tables and columns behind that are not FileTracker's
    #[arg(long)]
    ignore_extra: bool,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    let interrupted = super::interruption()?;
    let mut current = ProgressBar::hidden();
    let mut migration = Migration::new(&args.database, &args.store, args.open.options(&args.store))
        .existing(match (args.resume, args.force) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        })
        .allow_missing(args.allow_missing)
        .ignore_extra(args.ignore_extra)
        .interrupted(|| interrupted.load(Ordering::SeqCst))
        .progress(|progress| match progress {
            Progress::BackingUp(path) => current = bar(&format!("copying to {}", path.display()), 1),
            Progress::Copying { table, rows } => current = bar(table, rows),
            Progress::Comparing { table, rows } => current = bar(&format!("comparing {table}"), rows),
            Progress::Advanced(rows) => current.inc(rows),
            Progress::Done => current.finish(),
        });
    if args.no_backup {
        migration = migration.backup(None);
    } else if let Some(path) = &args.backup {
        migration = migration.backup(Some(path.clone()));
    }
    let summary = migration.run()?;
    let exit = if summary.rejected() > 0 { Exit::Noteworthy } else { Exit::Done };
    if output.is_json() {
        output.document(&summary)?;
        return Ok(exit);
    }
    output.line(format!("{:22} {:>9} {:>9} {:>9}", "table", "source", "migrated", "rejected"))?;
    for table in &summary.tables {
        let rejected: u64 = table.rejected.values().sum();
        output.line(format!("{:22} {:>9} {:>9} {rejected:>9}", table.table, table.source_rows, table.migrated))?;
        for (reason, rows) in &table.rejected {
            output.line(format!("  {rows} rejected: {reason}"))?;
        }
    }
    output.line(format!("{} rows migrated and compared, {} rejected", summary.migrated(), summary.rejected()))?;
    if let Some(path) = &summary.backup {
        output.line(format!("the database was copied to {}", path.display()))?;
    }
    if let Some(path) = &summary.rejects_file {
        output.line(format!("the rejected rows are listed in {}", path.display()))?;
    }
    Ok(exit)
}
