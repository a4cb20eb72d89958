//! Writers that are killed at random moments.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracker_host::{Durability, Error, Tracker};

use super::load::{self, State};
use super::{another_process, kill, smallest};
use crate::support::{figure, scale};

const VARIABLE: &str = "CRASH_WRITER";
const PATIENCE: Duration = Duration::from_secs(60);
const DURABILITIES: [Durability; 3] = [Durability::Sync, Durability::NoMetaSync, Durability::NoSync];

/// What a writer is told: its number, how it commits, and where.
fn task(writer: u64, durability: usize, store: &Path) -> String {
    format!("{writer} {durability} {}", store.display())
}

/// Commits until it is killed, and says on standard error what has been committed.
fn write_for_ever(task: &str) {
    let mut words = task.splitn(3, ' ');
    let mut word = || words.next().unwrap();
    let (writer, durability): (u64, usize) = (word().parse().unwrap(), word().parse().unwrap());
    let mut tracker = smallest(Path::new(word()), DURABILITIES[durability]).open().unwrap();
    for n in load::commits(&mut tracker, writer).unwrap() + 1.. {
        // A batch during which the map had to grow while another writer committed.
        while let Err(error) = load::commit(&mut tracker, writer, n) {
            assert!(matches!(error, Error::Conflict(_)), "{error:?}");
        }
        eprintln!("committed {n}");
    }
}

struct Writer {
    number: u64,
    child: Child,
    acknowledged: Arc<AtomicU64>,
    listener: Option<JoinHandle<Vec<String>>>,
}

impl Writer {
    fn start(test: &str, number: u64, durability: usize, store: &Path) -> Self {
        let mut command = another_process(test, VARIABLE, task(number, durability, store));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let (lines, acknowledge) = (BufReader::new(child.stderr.take().unwrap()).lines(), acknowledged.clone());
        let listener = thread::spawn(move || {
            let mut others = Vec::new();
            for line in lines {
                let line = line.unwrap();
                match line.strip_prefix("committed ").and_then(|n| n.parse().ok()) {
                    Some(n) => acknowledge.store(n, Ordering::SeqCst),
                    None => others.push(line),
                }
            }
            others
        });
        Writer { number, child, acknowledged, listener: Some(listener) }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until it has committed more than this.
    fn wait_for_more_than(&mut self, n: u64) {
        let begun = Instant::now();
        while self.acknowledged() <= n {
            if self.child.try_wait().unwrap().is_some() {
                panic!("writer {} failed: {:#?}", self.number, self.listener.take().map(JoinHandle::join));
            }
            assert!(begun.elapsed() < PATIENCE, "writer {} hangs after {} commits", self.number, self.acknowledged());
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Kills it, and returns the last commit that it has acknowledged.
    fn kill(mut self) -> u64 {
        kill(&mut self.child);
        let others = self.listener.take().unwrap().join().unwrap();
        // What it said before it was killed must not be of a failure.
        assert!(!others.iter().any(|line| line.contains("panicked")), "{others:#?}");
        self.acknowledged.load(Ordering::SeqCst)
    }
}

/// What was counted over all rounds.
#[derive(Default)]
struct Tally {
    kills: usize,
    acknowledged: u64,
    /// Committed, and killed before that was said.
    silent: u64,
    /// Killed before the first commit.
    early: usize,
}

/// The store holds what was acknowledged of each writer, at most the one
/// transaction more that was under way, and nothing of any other.
fn check(store: &Path, durability: usize, acknowledged: &mut [u64], tally: &mut Tally) {
    let mut tracker =
        smallest(store, DURABILITIES[durability]).check_pages(true).open().unwrap_or_else(|error| panic!("{error:?}"));
    let report = tracker.verify().unwrap();
    assert_eq!((report.errors, report.warnings), (0, 0), "{:?}", report.findings);
    for (writer, acknowledged) in acknowledged.iter_mut().enumerate() {
        let writer = writer as u64;
        let found = State::read(&mut tracker, writer).unwrap();
        assert!(
            (*acknowledged..=*acknowledged + 1).contains(&found.commits),
            "writer {writer}: {acknowledged} commits were acknowledged and {} are there",
            found.commits
        );
        assert_eq!(found, State::after(writer, found.commits), "writer {writer}: half of a transaction");
        tally.silent += found.commits - *acknowledged;
        *acknowledged = found.commits;
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged_leaves_no_half_and_holds_nobody_up() {
    const TEST: &str = "kills::a_killed_writer_loses_nothing_it_acknowledged_leaves_no_half_and_holds_nobody_up";
    if let Ok(task) = std::env::var(VARIABLE) {
        return write_for_ever(&task);
    }
    let kills = scale(30, 600);
    let mut random = fastrand::Rng::with_seed(4);
    let mut tally = Tally::default();
    for round in 0.. {
        if tally.kills >= kills {
            break;
        }
        // A store of its own, so that creating and growing it is interrupted, too.
        let dir = tempfile::tempdir().unwrap();
        let (store, durability) = (dir.path().join("store"), round % DURABILITIES.len());
        let mut acknowledged = vec![0; 3];
        for _ in 0..4 {
            let number = random.u64(1..=3);
            let before = acknowledged.clone();
            let mut writers: Vec<_> = (0..number).map(|n| Writer::start(TEST, n, durability, &store)).collect();
            random.shuffle(&mut writers);
            while let Some(mut victim) = writers.pop() {
                let early = random.u32(0..5) == 0;
                if !early {
                    victim.wait_for_more_than(before[victim.number as usize] + random.u64(0..12));
                }
                thread::sleep(Duration::from_micros(random.u64(0..if early { 150_000 } else { 25_000 })));
                let number = victim.number as usize;
                let last = victim.kill();
                tally.early += usize::from(last == 0);
                acknowledged[number] = last.max(before[number]);
                tally.acknowledged += acknowledged[number] - before[number];
                tally.kills += 1;
                // The dead one's lock and slot are in nobody's way.
                for writer in &mut writers {
                    writer.wait_for_more_than(writer.acknowledged().max(before[writer.number as usize]));
                }
            }
            check(&store, durability, &mut acknowledged, &mut tally);
        }
    }
    figure("writers killed", tally.kills);
    figure("  before their first commit", tally.early);
    figure("  commits that they had acknowledged", tally.acknowledged);
    figure("  commits that were not yet acknowledged, and whole", tally.silent);
    figure("  commits lost or halved", 0);
    assert!(tally.acknowledged > 0 && tally.early < tally.kills / 2);
}

#[test]
fn a_reader_that_is_killed_keeps_no_pages_and_no_slot() {
    const TEST: &str = "kills::a_reader_that_is_killed_keeps_no_pages_and_no_slot";
    const VARIABLE: &str = "CRASH_READER";
    if let Ok(store) = std::env::var(VARIABLE) {
        let tracker = Tracker::open(store).unwrap();
        let _snapshots: Vec<_> = (0..40).map(|_| tracker.snapshot().unwrap()).collect();
        eprintln!("reading");
        return thread::sleep(PATIENCE);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    load::commit(&mut Tracker::open(&store).unwrap(), 0, 1).unwrap();
    // More slots in all than there are.
    for _ in 0..4 {
        let mut child = another_process(TEST, VARIABLE, &store).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "reading\n");
        kill(&mut child);
        let mut tracker = Tracker::open(&store).unwrap();
        let n = load::commits(&mut tracker, 0).unwrap() + 1;
        load::commit(&mut tracker, 0, n).unwrap();
        assert_eq!(tracker.environment_stats().unwrap().active_readers, Some(Vec::new()));
    }
}
