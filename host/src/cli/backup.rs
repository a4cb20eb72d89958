//! `host backup`, `host restore` and `host compact`.

use std::path::PathBuf;

use anyhow::Result;
use tracker_host::Tracker;

use super::{Exit, OpenArgs, Output};

const BACKUP_HELP: &str = "\
Examples:
  host backup store backups/2026-11-24
  host verify backups/2026-11-24
The backup is a store, of what was committed when it began, without free pages. Others can go
on writing. The directory must be new; nothing is under its name until the backup is whole.
A backup that is killed leaves DIRECTORY.tracker-partial, which the next one replaces.";

/// Copy a store into a new directory while it is in use
#[derive(clap::Args)]
#[command(after_help = BACKUP_HELP)]
pub struct BackupArgs {
    /// The store
    store: PathBuf,
    /// The new directory
    directory: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

const RESTORE_HELP: &str = "\
Examples:
  host restore backups/2026-11-24 store
  host restore backups/2026-11-24 store --replace      instead of what the store holds
The backup is copied and the copy verified; only then it is put in the store's place, in one
step. A store that is open in any program is not replaced: end those first.";

/// Put a backup in the place of a store
#[derive(clap::Args)]
#[command(after_help = RESTORE_HELP)]
pub struct RestoreArgs {
    /// The backup
    backup: PathBuf,
    /// The store
    store: PathBuf,
    /// Replace the store that is there
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    open: OpenArgs,
}

const COMPACT_HELP: &str = "\
Examples:
  host stats store              what it would gain
  host compact store
The store is written anew without free pages and exchanged in one step. No program may have it
open; a copy without free pages of a store that is in use is what `host backup` makes.";

/// Give the free pages of a store back to the disk
#[derive(clap::Args)]
#[command(after_help = COMPACT_HELP)]
pub struct CompactArgs {
    /// The store
    store: PathBuf,
}

pub fn backup(args: BackupArgs, output: &mut Output) -> Result<Exit> {
    let backup = args.open.open(&args.store)?.backup(&args.directory)?;
    if output.is_json() {
        output.document(&backup)?;
    } else {
        output.line(format!("{} bytes were copied to {}", backup.bytes, backup.path.display()))?;
    }
    Ok(Exit::Done)
}

pub fn restore(args: RestoreArgs, output: &mut Output) -> Result<Exit> {
    let restored = args.open.options(&args.store).restore(&args.backup, args.replace)?;
    if output.is_json() {
        output.document(&restored)?;
    } else {
        let instead = if restored.replaced { ", instead of the store that was there" } else { "" };
        let (records, store) = (restored.records, args.store.display());
        output.line(format!("{records} records were verified and put into {store}{instead}"))?;
    }
    Ok(Exit::Done)
}

pub fn compact(args: CompactArgs, output: &mut Output) -> Result<Exit> {
    let compaction = Tracker::options(&args.store).compact()?;
    if output.is_json() {
        output.document(&compaction)?;
    } else {
        output.line(format!("{} bytes before, {} bytes now", compaction.before, compaction.after))?;
    }
    Ok(Exit::Done)
}
