//! `host stats`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host stats store
  host stats store --json --read-only";

/// Show the size of a store, its tables and whether it is complete
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The store
    store: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    let mut tracker = args.open.open(&args.store)?;
    let unfinished = tracker.get_import_state()?;
    let stats = tracker.environment_stats()?;
    if output.is_json() {
        output.document(&json!({ "environment": stats, "unfinished-import": unfinished }))?;
        return Ok(Exit::Done);
    }
    output.line(format!("{:26} {:>10} {:>10} {:>14}", "table", "entries", "pages", "bytes"))?;
    for table in stats.tables.iter().filter(|table| table.entries > 0) {
        output.line(format!("{:26} {:>10} {:>10} {:>14}", table.name, table.entries, table.pages, table.bytes))?;
    }
    let empty = stats.tables.iter().filter(|table| table.entries == 0).count();
    output.line(format!("{} tables, of which {empty} are empty", stats.tables.len()))?;
    output.line(format!("file size          {:>14}", stats.file_size))?;
    output.line(format!("on disk            {:>14}", stats.disk_usage))?;
    output.line(format!("in use             {:>14}", stats.estimated_used))?;
    output.line(format!("free for reuse     {:>14}", stats.estimated_waste))?;
    output.line(format!("map size           {:>14}", stats.map_size))?;
    output.line(format!("map size at most   {:>14}", stats.max_map_size))?;
    output.line(format!("page size          {:>14}", stats.page_size))?;
    output.line(format!("last transaction   {:>14}", stats.last_txnid))?;
    output.line(format!("reader slots       {:>14}", format!("{}/{}", stats.readers, stats.max_readers)))?;
    if let Some(unfinished) = unfinished {
        output.line(format!("INCOMPLETE: a migration has not finished: {unfinished}"))?;
    }
    Ok(Exit::Done)
}
