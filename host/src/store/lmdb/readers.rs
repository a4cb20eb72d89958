//! Who reads an environment now: LMDB's table of readers, in its lock file.
//!
//! heed does not hand out what `mdb_reader_list` says, so the file is read. Its
//! end is an array with a slot of 64 bytes, a cache line, for each reader there
//! can be: the transaction (or -1), the process (0 in a free slot), the thread.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::Environment;

const SLOT: u64 = 64;
const NO_TRANSACTION: u64 = u64::MAX;

/// A read transaction.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Reader {
    /// The process.
    pub process: u32,
    /// What the system calls the thread that began it.
    pub thread: u64,
    /// The commit that it sees.
    pub txnid: u64,
    /// How many commits it is behind.
    pub lag: u64,
    /// True if the process is gone: what it kept is free once the store is
    /// opened for writing. None where that cannot be told.
    pub stale: Option<bool>,
}

/// Lock files that were looked at. They are never closed: closing one would
/// take away the locks that LMDB in this process has on it.
static LOOKED_AT: LazyLock<Mutex<HashMap<PathBuf, File>>> = LazyLock::new(Mutex::default);

/// The read transactions that are open now, the oldest first.
pub(super) fn active(environment: &Environment) -> Option<Vec<Reader>> {
    let info = environment.shared.env.info();
    let (slots, used) = (u64::from(info.maximum_number_of_readers), u64::from(info.number_of_readers));
    let table = table(&environment.path().join("lock.mdb"), slots, used).ok()?;
    let mut readers: Vec<Reader> = table
        .chunks_exact(SLOT as usize)
        .filter_map(|slot| {
            let (txnid, process, thread) = (number(slot, 0), number(slot, 8) as u32, number(slot, 16));
            let lag = (info.last_txn_id as u64).saturating_sub(txnid);
            (process != 0 && txnid != NO_TRANSACTION).then(|| Reader {
                process,
                thread,
                txnid,
                lag,
                stale: is_gone(process),
            })
        })
        .collect();
    readers.sort_by_key(|reader| (reader.txnid, reader.process, reader.thread));
    Some(readers)
}

/// The slots that were ever used.
fn table(path: &Path, slots: u64, used: u64) -> io::Result<Vec<u8>> {
    let mut looked_at = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = looked_at.entry(path.to_owned());
    let file = match kept {
        std::collections::hash_map::Entry::Occupied(kept) if same_file(kept.get(), path)? => kept.into_mut(),
        std::collections::hash_map::Entry::Occupied(kept) => {
            // Another lock file has the name: nobody here has locks on the old one.
            let kept = kept.into_mut();
            *kept = File::open(path)?;
            kept
        }
        std::collections::hash_map::Entry::Vacant(free) => free.insert(File::open(path)?),
    };
    let length = file.metadata()?.len();
    let start = length.checked_sub(slots * SLOT).ok_or(io::ErrorKind::InvalidData)?;
    let mut table = vec![0; (used.min(slots) * SLOT) as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut table)?;
    Ok(table)
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, found) = (file.metadata()?, fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn same_file(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

fn number(slot: &[u8], at: usize) -> u64 {
    slot.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u64::from_ne_bytes)
}

fn is_gone(process: u32) -> Option<bool> {
    let processes = Path::new("/proc/self");
    processes.exists().then(|| !processes.with_file_name(process.to_string()).exists())
}

/// Bytes of a mapped file that are in this process's memory.
pub(super) fn resident(file: &Path) -> Option<u64> {
    let maps = fs::read_to_string("/proc/self/smaps").ok()?;
    let name = format!(" {}", file.to_str()?);
    let mut lines = maps.lines();
    lines.find(|line| line.ends_with(&name))?;
    let kib = lines.find_map(|line| line.strip_prefix("Rss:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
