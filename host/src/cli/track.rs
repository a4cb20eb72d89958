//! `host track`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use tracker_host::track::track;

use super::output::bar;
use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host track store            the files of the current directory
  host track store ~/src --json

.gitignore and .ignore are respected, .git is left out. Files that cannot be read and names
that are not UTF-8 are reported, and the exit code is 3 then.";

/// Bring a store up to date with the files of a directory
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The store; it is created if it is missing
    store: PathBuf,
    /// The directory
    #[arg(default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    if !args.directory.is_dir() {
        bail!("{} is not a directory", args.directory.display());
    }
    let interrupted = super::interruption()?;
    let mut tracker = args.open.options(&args.store).open()?;
    let progress = bar("files", 0);
    let summary = track(
        &mut tracker,
        &args.directory,
        |files| {
            progress.set_length(files);
            progress.set_position(files);
        },
        || interrupted.load(Ordering::SeqCst),
    )?;
    progress.finish_and_clear();
    if output.is_json() {
        output.document(&summary)?;
    } else {
        output.line(format!(
            "{} added, {} changed, {} touched, {} removed, {} unchanged, {} skipped",
            summary.added,
            summary.changed,
            summary.touched,
            summary.removed,
            summary.unchanged,
            summary.skipped.len()
        ))?;
    }
    for skipped in &summary.skipped {
        eprintln!("skipped {:?}: {}", skipped.path, skipped.reason);
    }
    if interrupted.load(Ordering::SeqCst) {
        bail!("interrupted; what was recorded until then is kept");
    }
    Ok(if summary.skipped.is_empty() { Exit::Done } else { Exit::Noteworthy })
}
