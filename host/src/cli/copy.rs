//! `host copy`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use tracker_host::copy::Copy;

use super::output::bar;
use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host copy store 'postgres://me@db.example.org/index?namespace=project'
  host copy 'postgres://me@db.example.org/index?namespace=project' store
  host copy store 'postgres:///index' --resume      after an interruption

Copies every record of one snapshot into a new or empty store, in transactions of 4,000
records, and reads all of them back. Until they were compared the new store is marked as
incomplete. The source may be in use; what is written to it meanwhile is not in the copy.
A password is better kept in PGPASSWORD or ~/.pgpass than given in a URL.";

/// Copy a store into a new one, to or from a server too
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The store to copy
    from: PathBuf,
    /// The new store
    to: PathBuf,
    /// Go on with an interrupted copy
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    if args.from == args.to {
        bail!("a store cannot be copied into itself");
    }
    let interrupted = super::interruption()?;
    let from = args.open.open(&args.from)?;
    let mut to = args.open.options(&args.to).open()?;
    let progress = bar("rows written and compared", 0);
    let copied = Copy::new(&from, &mut to)
        .resume(args.resume)
        .progress(|_, rows| {
            progress.inc_length(rows);
            progress.inc(rows);
        })
        .interrupted(|| interrupted.load(Ordering::SeqCst))
        .run()?;
    progress.finish_and_clear();
    if output.is_json() {
        output.document(&copied)?;
        return Ok(Exit::Done);
    }
    for (kind, rows) in &copied.rows.0 {
        output.line(format!("{kind:22} {rows:>9}"))?;
    }
    output.line(format!("{} rows were copied and compared", copied.rows.total()))?;
    Ok(Exit::Done)
}
