//! Opening the store that a command names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use tracker_host::{CodeCache, ComponentSource, Durability, Limits, Options, Tracker};

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// Commits survive the loss of power
    Sync,
    /// The last commit can be undone by a crash of the machine
    NoMetaSync,
    /// A crash of the machine can lose commits and damage the store
    NoSync,
}

/// Options of every command that opens a store.
#[derive(Args)]
pub struct OpenArgs {
    /// Open for reading only; nothing is created
    #[arg(long, help_heading = "Store")]
    read_only: bool,
    /// What a commit survives
    #[arg(long, value_enum, default_value = "sync", help_heading = "Store")]
    durability: DurabilityArg,
    /// The most that the store can grow to [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Store")]
    max_map_size: Option<u64>,
    /// Check the structure of the data file first; it is read as a whole
    #[arg(long, help_heading = "Store")]
    check_pages: bool,
    /// Use this component instead of the built-in one
    #[arg(long, value_name = "FILE", help_heading = "Component")]
    component: Option<PathBuf>,
    /// How long a call may run, in seconds [default: 30; verify, reindex and imports 1800]
    ///
    /// Ordinary calls take microseconds and the longest some seconds, so that a component which
    /// runs for 30 is lost. What reads or writes everything takes minutes where millions of
    /// records are. Waiting for other writers is not counted, nor is waiting for a server up to ten
    /// times as long.
    #[arg(long, value_name = "SECONDS", help_heading = "Component")]
    deadline: Option<u64>,
    /// How much memory the component may have [default: 512MiB]
    ///
    /// Enough for a verify of ten million symbols, and for any page of a list.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Component")]
    memory: Option<u64>,
    /// How much one call or batch may write [default: 1GiB]
    ///
    /// It is kept in memory until the commit, to be written again if the map has to grow.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Component")]
    transaction_size: Option<u64>,
    /// How large the file of --component may be [default: 64MiB]
    ///
    /// Compiling it has no deadline. The built-in one has 1.7 MB, one with a Python interpreter 18.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Component")]
    component_size: Option<u64>,
    /// Compile the component instead of loading it from the cache
    #[arg(long, help_heading = "Component")]
    no_cache: bool,
}

impl OpenArgs {
    /// The options for a store at this path.
    pub fn options(&self, store: &PathBuf) -> Options {
        let mut limits = Limits::default();
        if let Some(seconds) = self.deadline {
            limits.call_deadline = Duration::from_secs(seconds);
            limits.bulk_deadline = Duration::from_secs(seconds);
        }
        if let Some(bytes) = self.memory {
            limits.memory = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(bytes) = self.transaction_size {
            limits.transaction_bytes = bytes;
        }
        if let Some(bytes) = self.component_size {
            limits.component_size = bytes;
        }
        let durability = match self.durability {
            DurabilityArg::Sync => Durability::Sync,
            DurabilityArg::NoMetaSync => Durability::NoMetaSync,
            DurabilityArg::NoSync => Durability::NoSync,
        };
        let mut options = Tracker::options(store).read_only(self.read_only).durability(durability).limits(limits);
        options = options.check_pages(self.check_pages);
        if let Some(bytes) = self.max_map_size {
            options = options.max_map_size(bytes);
        }
        if let Some(file) = &self.component {
            options = options.component(ComponentSource::File(file.clone()));
        }
        if self.no_cache {
            options = options.code_cache(CodeCache::Off);
        }
        options
    }

    /// Opens a store that is there.
    pub fn open(&self, store: &PathBuf) -> Result<Tracker> {
        Ok(self.options(store).create(false).open()?)
    }
}

/// True if a store is on a server.
pub fn is_url(store: &Path) -> bool {
    store.to_str().is_some_and(|text| text.starts_with("postgres://") || text.starts_with("postgresql://"))
}

/// A size: a number with an optional KiB, MiB, GiB or TiB.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim().parse().map_err(|_| format!("{text:?} is not a size like 512MiB"))?;
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        unit => return Err(format!("{unit:?} is not a unit; use KiB, MiB, GiB or TiB")),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("2g"), Ok(2 << 30));
        for wrong in ["", "MiB", "5x", "-1", "99999999999TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
