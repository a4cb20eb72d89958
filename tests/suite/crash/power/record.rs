//! Recording what a writer does to its disk.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;
use tracker_host::Durability;

use super::smallest;
use crate::crash::{another_process, load};
use crate::support::data::repository;

pub const VARIABLE: &str = "CRASH_RECORDED";
const DURABILITIES: [Durability; 3] = [Durability::Sync, Durability::NoMetaSync, Durability::NoSync];

/// What the writer did, in order.
#[derive(Debug)]
pub enum Event {
    Write {
        offset: u64,
        bytes: Vec<u8>,
        synced: bool,
    },
    Sync,
    Create,
    SyncDirectory,
    SyncParent,
    /// It acknowledged that so many transactions are committed.
    Mark(u64),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Write { offset, bytes, synced } => {
                let synced = if *synced { ", synced" } else { "" };
                write!(f, "write of {} bytes at {offset}{synced}", bytes.len())
            }
            event => write!(f, "{event:?}"),
        }
    }
}

/// How a writer treats its commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Faithful,
    /// Says that it is committed, and then commits.
    AcknowledgesEarly,
    /// Counts a transaction in another one.
    CountsApart,
}

const MANNERS: [Manner; 3] = [Manner::Faithful, Manner::AcknowledgesEarly, Manner::CountsApart];

pub struct Recording {
    pub events: Vec<Event>,
}

impl Recording {
    /// How often the file came to be twice as long.
    pub fn growths(&self) -> u32 {
        let ends = self.events.iter().filter_map(|event| match event {
            Event::Write { offset, bytes, .. } => Some(offset + bytes.len() as u64),
            _ => None,
        });
        (ends.max().unwrap_or(0) / (64 << 10)).ilog2()
    }
}

/// The recorder, compiled.
fn recorder() -> &'static Path {
    static RECORDER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) =
            (repository().join("tests/suite/crash/power/recorder.c"), dir.path().join("recorder.so"));
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-Wall", "-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).args(["-ldl", "-lpthread"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (dir, library)
    });
    &RECORDER.1
}

/// Lets a writer commit so many transactions to a new store. `swallowed` is
/// what the recorder keeps from the disk.
pub fn record(
    test: &str,
    durability: Durability,
    manner: Manner,
    swallowed: Option<&str>,
    transactions: u64,
) -> Recording {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let (store, log, marks) = (dir.join("store"), dir.join("log"), dir.join("marks"));
    let durability = DURABILITIES.iter().position(|d| *d == durability).unwrap();
    let manner = MANNERS.iter().position(|m| *m == manner).unwrap();
    let task = format!("{durability} {manner} {transactions} {}", dir.display());
    let mut command = another_process(test, VARIABLE, task);
    command.env("LD_PRELOAD", recorder()).env("RECORDER_LOG", &log).env("RECORDER_MARKS", &marks);
    command.env("RECORDER_DATA", store.join("data.mdb")).env("RECORDER_SWALLOW", swallowed.unwrap_or_default());
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let recording = Recording { events: parse(&std::fs::read(log).unwrap()) };
    // Nothing went by the recorder: together the writes are the file.
    let mut image = Vec::new();
    for event in &recording.events {
        if let Event::Write { offset, bytes, .. } = event {
            let end = *offset as usize + bytes.len();
            image.resize(image.len().max(end), 0);
            image[*offset as usize..end].copy_from_slice(bytes);
        }
    }
    assert!(image == std::fs::read(store.join("data.mdb")).unwrap(), "the recording is not complete");
    assert!(matches!(recording.events.last(), Some(Event::Mark(last)) if *last == transactions));
    recording
}

/// The writer: see [`record`].
pub fn write_and_acknowledge(task: &str) {
    let mut words = task.splitn(4, ' ');
    let mut word = || words.next().unwrap();
    let durability = DURABILITIES[word().parse::<usize>().unwrap()];
    let manner = MANNERS[word().parse::<usize>().unwrap()];
    let transactions: u64 = word().parse().unwrap();
    let dir = Path::new(word());
    let mut marks = File::create(dir.join("marks")).unwrap();
    let mut tracker = smallest(&dir.join("store"), durability).open().unwrap();
    for n in 1..=transactions {
        let mut acknowledge = || marks.write_all(&n.to_le_bytes()).unwrap();
        match manner {
            Manner::Faithful => load::commit(&mut tracker, 0, n).unwrap(),
            Manner::AcknowledgesEarly => {
                acknowledge();
                load::commit(&mut tracker, 0, n).unwrap();
            }
            Manner::CountsApart => load::commit_and_count_apart(&mut tracker, 0, n).unwrap(),
        }
        if manner != Manner::AcknowledgesEarly || n == transactions {
            acknowledge();
        }
    }
}

fn parse(mut log: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
    while let Some((header, rest)) = log.split_at_checked(24) {
        let (kind, offset, length) = (header[0], number(&header[8..16]), number(&header[16..24]));
        let carries = matches!(kind, b'W' | b'w' | b'M');
        let (bytes, rest) = rest.split_at(if carries { length as usize } else { 0 });
        log = rest;
        events.push(match kind {
            b'W' | b'w' => Event::Write { offset, bytes: bytes.to_vec(), synced: kind == b'w' },
            b'S' => Event::Sync,
            b'C' => Event::Create,
            b'D' => Event::SyncDirectory,
            b'P' => Event::SyncParent,
            b'M' => Event::Mark(number(bytes)),
            kind => panic!("{:?} is not in the model of the disk", char::from(kind)),
        });
    }
    assert!(log.is_empty());
    events
}
