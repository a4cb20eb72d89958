//! The command line: one module a command.

mod backup;
#[cfg(feature = "bench")]
mod bench;
mod call;
mod compare;
mod complete;
mod copy;
mod exit;
mod export;
mod migrate;
mod open;
mod output;
mod stats;
mod track;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use exit::Exit;
pub use open::OpenArgs;
use output::Output;

const AFTER_HELP: &str = "\
Examples:
  host migrate ~/.cache/project/tracker.db store      an SQLite database into a new store
  host track store .                                  the files of this directory
  host call store 'get-recent-files(3)' --json        any function of the component
  host verify store                                   check every record and index
  host backup store backups/monday                    while it is in use
  host copy store 'postgres://me@host/db'             a store is a directory or such a URL

Exit codes: 0 done; 1 failed, or compare found differences; 2 wrong usage; 3 done, but with
something to look at (rows rejected by migrate or left behind by export, files skipped by
track, findings of verify).
RUST_LOG=debug logs to standard error.";

/// Runs the tracker component on a store.
#[derive(Parser)]
#[command(name = "host", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON: one document a line, names as in WIT, 64-bit integers exact,
    /// bytes as base64, none as null.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Migrate(migrate::Args),
    Track(track::Args),
    Compare(compare::Args),
    Copy(copy::Args),
    Call(call::Args),
    Stats(stats::Args),
    #[cfg(feature = "bench")]
    Bench(bench::Args),
    Verify(verify::VerifyArgs),
    Reindex(verify::ReindexArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Compact(backup::CompactArgs),
    Export(export::ExportArgs),
    Import(export::ImportArgs),
    Completions(complete::CompletionsArgs),
    Man(complete::ManArgs),
}

/// Parses the command line, runs the command and says how it ended.
pub fn main() -> ExitCode {
    let args = Args::parse();
    report_limits();
    init_logging();
    let mut output = Output::new(args.json);
    let ended = run(args.command, &mut output).and_then(|exit| {
        output.flush()?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit.into(),
        // Whoever read the output has seen enough.
        Err(error) if output::is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            let _ = output.flush();
            eprintln!("error: {}", output::one_line(&error));
            Exit::Failed.into()
        }
    }
}

fn run(command: Command, output: &mut Output) -> Result<Exit> {
    match command {
        Command::Migrate(args) => migrate::run(args, output),
        Command::Track(args) => track::run(args, output),
        Command::Compare(args) => compare::run(args, output),
        Command::Copy(args) => copy::run(args, output),
        Command::Call(args) => call::run(args, output),
        Command::Stats(args) => stats::run(args, output),
        #[cfg(feature = "bench")]
        Command::Bench(args) => bench::run(args, output),
        Command::Verify(args) => verify::verify(args, output),
        Command::Reindex(args) => verify::reindex(args, output),
        Command::Backup(args) => backup::backup(args, output),
        Command::Restore(args) => backup::restore(args, output),
        Command::Compact(args) => backup::compact(args, output),
        Command::Export(args) => export::export(args, output),
        Command::Import(args) => export::import(args, output),
        Command::Completions(args) => complete::completions(args, output),
        Command::Man(args) => complete::man(args, output),
    }
}

/// A file that reaches the limit of its length (`ulimit -f`) is an error to
/// report, and not the end of the process. Other threads inherit this.
fn report_limits() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGXFSZ);
        if let Err(error) = signals.thread_block() {
            tracing::debug!(%error, "SIGXFSZ was not blocked");
        }
    }
}

fn init_logging() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .without_time()
        .init();
}

/// A flag that Ctrl-C and SIGTERM set; the second one ends the process.
fn interruption() -> Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    use std::sync::atomic::{AtomicBool, Ordering};
    let flag = std::sync::Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("stopping; press Ctrl-C again to end at once");
    })?;
    Ok(flag)
}
