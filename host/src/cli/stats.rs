//! `host stats`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use tracker_host::Tracker;

use super::open::is_url;
use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host stats store
  host stats store --json | jq '.environment.\"active-readers\"'
The store is opened for reading only. A reader that lags keeps free pages from being used
again, and the file grows; a stale one, of a process that was killed, is cleared when the
store is next opened for writing. Of a store on a server the entries and bytes of each table
are counted, which reads all of it.";

/// Show the size of a store, its tables, its readers and whether it is complete
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The store
    store: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    let mut options = args.open.options(&args.store).create(false);
    if is_url(&args.store) || args.store.join("lock.mdb").exists() {
        // Also so that stale readers are seen: opened for writing, they are cleared.
        options = options.read_only(true);
    }
    let mut tracker = options.open()?;
    let unfinished = tracker.get_import_state()?;
    if is_url(&args.store) {
        return on_server(&tracker, unfinished.as_deref(), output);
    }
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
    let mut figure = |name: &str, value: Option<String>| match value {
        Some(value) => output.line(format!("{name:22} {value:>14}")),
        None => Ok(()),
    };
    let bytes = |bytes: u64| Some(bytes.to_string());
    figure("file size", bytes(stats.file_size))?;
    figure("on disk", bytes(stats.disk_usage))?;
    figure("in use", bytes(stats.estimated_used))?;
    figure("compacting gains", bytes(stats.file_size.saturating_sub(stats.compacted_size)))?;
    figure("free pages", stats.free_pages.map(|pages| pages.to_string()))?;
    figure("kept for readers", stats.free_pages_kept.map(|pages| pages.to_string()))?;
    figure("map size", bytes(stats.map_size))?;
    figure("map size at most", bytes(stats.max_map_size))?;
    figure("in memory here", stats.resident.map(|bytes| bytes.to_string()))?;
    figure("page size", bytes(stats.page_size))?;
    figure("last transaction", bytes(stats.last_txnid))?;
    figure("reader slots used", Some(format!("{}/{}", stats.readers, stats.max_readers)))?;
    let readers = stats.active_readers.as_deref();
    figure("active readers", readers.map(|readers| readers.len().to_string()))?;
    for reader in readers.unwrap_or_default() {
        let stale = if reader.stale == Some(true) { ", stale: the process is gone" } else { "" };
        let (process, txnid, lag) = (reader.process, reader.txnid, reader.lag);
        output.line(format!("  process {process} reads transaction {txnid}, {lag} behind{stale}"))?;
    }
    if let Some(unfinished) = unfinished {
        output.line(format!("INCOMPLETE: a migration has not finished: {unfinished}"))?;
    }
    Ok(Exit::Done)
}

/// What is known of a store on a server.
fn on_server(tracker: &Tracker, unfinished: Option<&str>, output: &mut Output) -> Result<Exit> {
    let tables = tracker.table_sizes()?;
    if output.is_json() {
        output.document(&json!({ "tables": tables, "unfinished-import": unfinished }))?;
        return Ok(Exit::Done);
    }
    output.line(format!("{:26} {:>10} {:>14}", "table", "entries", "bytes"))?;
    for table in tables.iter().filter(|table| table.entries > 0) {
        output.line(format!("{:26} {:>10} {:>14}", table.name, table.entries, table.bytes))?;
    }
    let empty = tables.iter().filter(|table| table.entries == 0).count();
    output.line(format!("{} tables, of which {empty} are empty", tables.len()))?;
    if let Some(unfinished) = unfinished {
        output.line(format!("INCOMPLETE: a migration or a copy has not finished: {unfinished}"))?;
    }
    Ok(Exit::Done)
}
