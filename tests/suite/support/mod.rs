//! What the tests share: databases, stores, calls by name.

pub mod calls;
pub mod data;
pub mod engines;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
#[cfg(all(feature = "postgres", unix))]
pub mod proxy;

pub use data::{Fixture, large, small};
pub use engines::{ENGINES, in_memory};

use tempfile::TempDir;
use tracker_host::{Clock, Tracker};

/// A new store in a directory of its own, with a clock that advances a second at each look.
pub struct Fresh {
    pub tracker: Tracker,
    pub dir: TempDir,
}

/// An empty store.
pub fn fresh() -> Fresh {
    let dir = tempfile::tempdir().unwrap();
    let tracker = Tracker::options(dir.path().join("store")).clock(ticking()).open().unwrap();
    Fresh { tracker, dir }
}

/// True for the long forms of the tests, which `tests/long.sh` runs.
pub fn long() -> bool {
    std::env::var_os("TRACKER_LONG").is_some()
}

/// The short form of a number, or the long one.
pub fn scale(short: usize, long: usize) -> usize {
    if self::long() { long } else { short }
}

/// Prints a figure that `tests/README.md` records.
pub fn figure(what: &str, number: impl std::fmt::Display) {
    eprintln!("FIGURE {what}: {number}");
}

/// False, and says so, if a tool that a test needs is not on this machine. In
/// CI it has to be there.
pub fn present(tool: &str, found: bool, install: &str) -> bool {
    if !found {
        assert!(std::env::var_os("CI").is_none(), "CI must have {tool}: {install}");
        eprintln!("SKIPPED: {tool} is not on this machine ({install})");
    }
    found
}

/// A clock that starts at 2,000,000,000 and advances a second at each look.
pub fn ticking() -> Clock {
    Clock::ticking(2_000_000_000)
}
