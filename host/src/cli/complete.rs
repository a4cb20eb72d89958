//! `host completions` and `host man`.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Args, Exit, Output};

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  host completions bash > ~/.local/share/bash-completion/completions/host")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  host man | man -l -")]
pub struct ManArgs {}

pub fn completions(args: CompletionsArgs, output: &mut Output) -> Result<Exit> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "host", &mut script);
    std::io::Write::write_all(output.writer(), &script)?;
    Ok(Exit::Done)
}

pub fn man(_args: ManArgs, output: &mut Output) -> Result<Exit> {
    clap_mangen::Man::new(Args::command()).render(output.writer())?;
    Ok(Exit::Done)
}
