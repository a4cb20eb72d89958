//! `host compare`.

use std::path::PathBuf;

use anyhow::Result;
use tracker_host::migrate::compare::{Comparison, Difference, Kind};

use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host compare tracker.db store
  host compare tracker.db store --json | jq '.tables[] | select(.different > 0)'
Every row of the database is looked up in the store, and every row of the store in the
database. The exit code is 1 if they differ. Rows that a migration rejects are counted, and
are no difference. What FileTracker has no columns for (conventions, owners, team flags,
access counts) is not compared.";

/// Compare an SQLite database of FileTracker with a store
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The SQLite database
    database: PathBuf,
    /// The store
    store: PathBuf,
    /// List at most so many differences of each table
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    limit: usize,
    /// Take missing tables as empty (databases of old versions)
    #[arg(long)]
    allow_missing: bool,
    /// Pass over tables and columns that are not FileTracker's
    #[arg(long)]
    ignore_extra: bool,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    let tracker = args.open.open(&args.store)?;
    let comparison = Comparison::new(&args.database)
        .listed(args.limit)
        .allow_missing(args.allow_missing)
        .ignore_extra(args.ignore_extra);
    let report = comparison.run(&tracker)?;
    let exit = if report.total() > 0 { Exit::Failed } else { Exit::Done };
    if output.is_json() {
        output.document(&report)?;
        return Ok(exit);
    }
    let head = ["database", "store", "missing", "extra", "different", "rejected"];
    output.line(head.iter().fold(format!("{:22}", "table"), |line, title| format!("{line} {title:>9}")))?;
    for table in &report.tables {
        let figures =
            [table.database_rows, table.store_rows, table.missing, table.extra, table.different, table.rejected];
        output
            .line(figures.iter().fold(format!("{:22}", table.table), |line, figure| format!("{line} {figure:>9}")))?;
    }
    for difference in &report.differences {
        output.line(describe(difference))?;
    }
    output.line(match report.total() {
        0 => "they agree".to_owned(),
        total => format!("{total} differences, of which {} are listed", report.differences.len()),
    })?;
    Ok(exit)
}

fn describe(difference: &Difference) -> String {
    let (table, key) = (difference.table, &difference.key);
    match difference.kind {
        Kind::Missing => format!("{table} {key} is not in the store"),
        Kind::Extra => format!("{table} {key} is not in the database"),
        Kind::Different => {
            let fields = difference.fields.iter();
            let fields: Vec<String> =
                fields.map(|(name, (database, store))| format!("{name} {database} against {store}")).collect();
            format!("{table} {key} differs, database against store: {}", fields.join(", "))
        }
    }
}
