//! The LMDB engine: a memory-mapped environment, opened through heed.
//!
//! Reads are snapshots that never wait. There is one writer at a time over all
//! processes. The map opens small and grows by itself: before a write
//! transaction begins if the map is more than half full, and in the middle of
//! one when LMDB reports that the map is full. LMDB can resize only while the
//! process has no transaction, so the write transaction is aborted, the map
//! resized, and everything that was written so far is written again; if another
//! process has committed in between, the answer is `conflict` instead. Another
//! process of this library cannot: writers wait in a row, and are alone here.

mod copy;
mod environment;
mod exclusive;
#[cfg(target_pointer_width = "64")]
mod file;
mod gate;
#[cfg(target_pointer_width = "64")]
mod pages;
mod readers;
mod stats;
mod sync;
mod transaction;
mod turn;

use std::path::PathBuf;

pub use environment::Environment;
pub use exclusive::Exclusive;
#[cfg(target_pointer_width = "64")]
pub use pages::PageReport;
pub use readers::Reader;
pub use stats::{EnvironmentStats, TableStats};

/// The longest key of a default build of LMDB.
pub const MAX_KEY_SIZE: u32 = 511;
const MAX_TABLES: u32 = 64;

/// What a commit survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Every commit is on the disk when it returns: it survives the loss of power.
    /// Only while a store is being created can that leave a file which is
    /// refused, and holds nothing.
    #[default]
    Sync,
    /// Data is on the disk when a commit returns, the page that says so is
    /// written with the next one: a crash of the machine can undo the last
    /// commit, and never damages the store.
    NoMetaSync,
    /// The operating system writes when it likes. A crash of the process loses
    /// nothing; a crash of the machine can lose commits and, since the order of
    /// writes is not kept, damage the store. Most of such damage is noticed by
    /// [`Options::check_pages`] and `verify`, but bytes of large values that
    /// were never written are not. For stores that can be rebuilt: after a crash
    /// of the machine do so, or restore a backup.
    NoSync,
}

/// How to open an environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    /// Open for reading only; nothing is created. Default false.
    pub read_only: bool,
    /// Create the directory and the environment if they are missing. Default true.
    pub create: bool,
    /// What a commit survives. Default [`Durability::Sync`].
    pub durability: Durability,
    /// The size of the map at first, in bytes. Default 16 MiB. It costs address
    /// space and not disk.
    pub map_size: u64,
    /// What the map may grow to, in bytes. Default 64 GiB.
    pub max_map_size: u64,
    /// Read transactions over all processes. Default 126, LMDB's own.
    pub max_readers: u32,
    /// Check the structure of all pages before they are used: see
    /// [`Environment::check_pages`]. It reads the whole file. Default false.
    pub check_pages: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            read_only: false,
            create: true,
            durability: Durability::default(),
            map_size: 16 << 20,
            max_map_size: 64 << 30,
            max_readers: 126,
            check_pages: false,
        }
    }
}

impl Options {
    /// Whether an environment that was opened in one way does for the other.
    /// How it would have been created does not matter once it is open.
    fn agrees_with(&self, other: &Options) -> bool {
        self.read_only == other.read_only
            && self.durability == other.durability
            && self.max_map_size == other.max_map_size
            && self.max_readers == other.max_readers
    }
}

/// Why an environment cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is nothing there.
    #[error("there is no store at {0}; check the path, or create one with `host migrate` or `host track`")]
    Missing(PathBuf),
    /// The path is a file.
    #[error("{0} is a file; a store is a directory")]
    NotADirectory(PathBuf),
    /// The directory holds something else.
    #[error("{0} is not empty and holds no store; give an empty or new directory")]
    NotAStore(PathBuf),
    /// The system refuses.
    #[error("cannot open the store at {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is not an LMDB environment, or of another version of LMDB.
    #[error("{path}/data.mdb is not an LMDB environment, or it is damaged; restore it from a backup")]
    Invalid {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody has it open who must not.
    #[error(
        "{0} is open in another program, or elsewhere in this one; `host stats` lists its readers: end what uses it and \
         try again"
    )]
    InUse(PathBuf),
    /// Another build of LMDB has it open, whose lock file is of another format.
    #[error(
        "{0} is open in a program with another version of LMDB, for instance mdb_stat; end it and try again: the two \
         cannot share a store, only take turns"
    )]
    OtherLmdb(PathBuf),
    /// The same process has it open in another way.
    #[error("{0} is open in this process with other options; use the same options or close it first")]
    OtherOptions(PathBuf),
}
