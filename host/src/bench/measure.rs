//! Measuring: short slices, all peers in a new random order each round, the
//! same questions in the same round.
//!
//! A fixed order is biased, for whoever follows SQLite pays for its cold
//! caches. Ratios are taken within a round and their median is reported: on a
//! machine that others use too, times drift, ratios much less.

use std::time::{Duration, Instant};

use super::subject::{Peer, Result, Subject};
use super::watch::Watch;
use super::works::{Samples, Work};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The time that a slice of a read should take.
    pub slice: Duration,
    /// Rounds of the reads.
    pub rounds: usize,
    /// Rounds of the batches.
    pub batches: usize,
    /// Files a batch.
    pub batch: usize,
    /// A row whose rounds have taken so long, over a large store, makes do with
    /// those that it has, five at the least.
    pub longest: Duration,
}

/// The fewest rounds of a row.
const LEAST_ROUNDS: usize = 5;

/// What was measured of a row: nanoseconds a unit, by peer and round.
pub struct Measured {
    /// By peer.
    pub rounds: Vec<(Peer, Vec<f64>)>,
    /// Single calls of the tracker, in nanoseconds, sorted.
    pub calls: Vec<f64>,
}

/// The median of some numbers; none of none.
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

impl Measured {
    /// The times of a peer; none of one that was not measured.
    fn of(&self, peer: Peer) -> &[f64] {
        self.rounds.iter().find(|(who, _)| *who == peer).map_or(&[], |(_, times)| times)
    }

    /// The median time of a peer; none of one that was not measured.
    pub fn median(&self, peer: Peer) -> Option<f64> {
        median(self.of(peer).to_vec())
    }

    /// The median over the rounds of the ratio of the tracker's time to a peer's.
    pub fn ratio(&self, peer: Peer) -> Option<f64> {
        median(self.of(Peer::Tracker).iter().zip(self.of(peer)).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// The time that 99 of 100 calls of the tracker stay within.
    pub fn p99(&self) -> Option<f64> {
        self.calls.get(self.calls.len() * 99 / 100).copied()
    }
}

/// Single calls that are timed a round, for the 99th percentile.
const CALLS: usize = 100;

/// Measures a row.
pub fn measure(
    work: Work,
    subjects: &mut [Box<dyn Subject>],
    samples: &mut Samples,
    effort: Effort,
    random: &mut fastrand::Rng,
    watch: &Watch<'_>,
) -> Result<Measured> {
    for subject in subjects.iter_mut() {
        subject.set_durable(work.durable())?;
    }
    let rounds = subjects.iter().map(|subject| (subject.peer(), Vec::new())).collect();
    let mut measured = Measured { rounds, calls: Vec::new() };
    let batch = work.is_batch();
    let rounds = if work.writes() { effort.batches } else { effort.rounds };
    let mut turn = 0;
    if work == Work::BatchAgain {
        samples.next_change();
        subjects.iter_mut().try_for_each(|subject| samples.run(work, 0, &mut **subject).map(drop))?;
    }
    let runs = if batch { vec![1; subjects.len()] } else { calibrate(work, subjects, samples, effort.slice, watch)? };
    let began = Instant::now();
    for round in 0..rounds {
        if round >= LEAST_ROUNDS && began.elapsed() > effort.longest {
            break;
        }
        if batch && work != Work::BatchAgain {
            samples.next_change();
        }
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        random.shuffle(&mut order);
        for peer in order {
            watch.check()?;
            let subject = &mut *subjects[peer];
            if !batch {
                // A short warm-up: the caches are the last peer's.
                for n in 0..runs[peer].div_ceil(8) {
                    samples.run(work, turn + n, subject)?;
                }
            }
            let mut units = 0;
            let start = Instant::now();
            for n in 0..runs[peer] {
                units += samples.run(work, turn + n, subject)?;
            }
            let time = start.elapsed().as_nanos() as f64 / units.max(1) as f64;
            let (who, times) = &mut measured.rounds[peer];
            times.push(time);
            if *who == Peer::Tracker && !batch {
                // Of what the slice has not just asked, so has not brought to the caches.
                for n in runs[peer]..runs[peer] + CALLS.min(runs[peer]) {
                    let start = Instant::now();
                    let units = samples.run(work, turn + n, subject)?;
                    measured.calls.push(start.elapsed().as_nanos() as f64 / units.max(1) as f64);
                }
            }
        }
        turn += runs.iter().copied().max().unwrap_or(1);
    }
    if batch {
        measured.calls = measured.of(Peer::Tracker).to_vec();
    }
    measured.calls.sort_by(f64::total_cmp);
    Ok(measured)
}

/// How often each peer does the work in a slice.
fn calibrate(
    work: Work,
    subjects: &mut [Box<dyn Subject>],
    samples: &Samples,
    slice: Duration,
    watch: &Watch<'_>,
) -> Result<Vec<usize>> {
    let mut runs = Vec::with_capacity(subjects.len());
    for subject in subjects {
        watch.check()?;
        samples.run(work, 0, &mut **subject)?;
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < slice / 2 || done == 0 {
            samples.run(work, done, &mut **subject)?;
            done += 1;
        }
        let each = start.elapsed().as_secs_f64() / done as f64;
        runs.push(((slice.as_secs_f64() / each) as usize).clamp(1, 100_000));
    }
    Ok(runs)
}
