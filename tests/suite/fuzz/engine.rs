//! Runs fuzz targets on any toolchain: the corpus, then mutations of it.
//!
//! Without feedback from the compiler the mutations have to know what they
//! change: each target brings a dictionary, and may bring mutations of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::targets::Target;
use crate::support::{data::repository, figure, long};

/// A mutation that knows what the input is; none where it cannot.
pub type Mutate = fn(&[u8], &mut Rng) -> Option<Vec<u8>>;

/// How to fuzz a target.
pub struct Plan {
    pub name: &'static str,
    pub run: Target,
    /// Inputs of the short form.
    pub short: usize,
    /// Whole inputs to begin with, besides the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that mean something to the target.
    pub dictionary: fn() -> Vec<Vec<u8>>,
    pub structured: Option<Mutate>,
}

/// How long a target runs in the long form.
const LONG: Duration = Duration::from_secs(120);
/// Inputs are not mutated beyond this.
const LONGEST: usize = 4096;
/// The seed of the short form, so that it is the same everywhere.
const SEED: u64 = 0x7261_636b_6572;

impl Plan {
    /// Runs the corpus and mutations, and panics with the input that a target panicked on.
    pub fn fuzz(&self) {
        let seed = if long() { Rng::new().u64(..) } else { SEED };
        eprintln!("fuzz {}: seed {seed}", self.name);
        let mut rng = Rng::with_seed(seed);
        let corpus: Vec<Vec<u8>> = corpus(self.name).into_iter().chain((self.seeds)()).collect();
        assert!(!corpus.is_empty(), "{} has nothing to begin with", self.name);
        let dictionary = (self.dictionary)();
        corpus.iter().for_each(|input| self.one(input, seed));
        let started = Instant::now();
        let mut inputs = corpus.len();
        while if long() { started.elapsed() < LONG } else { inputs < self.short } {
            let mut input = corpus[rng.usize(..corpus.len())].clone();
            for _ in 0..1 + rng.usize(..6) {
                let structured = self.structured.filter(|_| rng.bool());
                match structured.and_then(|mutate| mutate(&input, &mut rng)) {
                    Some(mutated) => input = mutated,
                    None => mutate(&mut input, &corpus, &dictionary, &mut rng),
                }
            }
            input.truncate(LONGEST);
            self.one(&input, seed);
            inputs += 1;
        }
        figure(&format!("fuzz {}: inputs without a crash", self.name), inputs);
    }

    fn one(&self, input: &[u8], seed: u64) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.run)(input))) else { return };
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
        let kept = std::env::temp_dir().join(format!("fuzz-{}-{seed:x}", self.name));
        std::fs::write(&kept, input).unwrap();
        panic!("{} panics on {} ({} bytes, seed {seed}): {message}", self.name, kept.display(), input.len());
    }
}

/// The inputs that are kept for a target.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(repository().join("tests/fuzz/corpus").join(target)) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    // The same order everywhere.
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Numbers at which lengths and counts go wrong.
const EDGES: [u32; 10] = [0, 1, 7, 31, 255, 256, 0xffff, 0x7fff_ffff, 0xffff_fffe, u32::MAX];

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], dictionary: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let end = (at + rng.usize(..16)).min(input.len());
    match rng.u8(..12) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = rng.u8(..),
        2 if at < input.len() => input[at] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xff, b'"', b'\\', b'[', b'{']).unwrap(),
        3 if at < input.len() => input[at] = input[at].wrapping_add(rng.u8(..9)).wrapping_sub(4),
        4 => drop(input.drain(at..end)),
        5 => input.truncate(at),
        6 => {
            let piece = input[at..end].to_vec();
            splice(input, at, &piece);
        }
        7 => {
            let edge = EDGES[rng.usize(..EDGES.len())];
            let bytes = if rng.bool() { edge.to_le_bytes() } else { edge.to_be_bytes() };
            let end = (at + 4).min(input.len());
            input.splice(at..end, bytes);
        }
        8 => {
            let other = &corpus[rng.usize(..corpus.len())];
            let from = rng.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        9 | 10 if !dictionary.is_empty() => {
            let word = &dictionary[rng.usize(..dictionary.len())];
            let end = if rng.bool() { at } else { (at + word.len()).min(input.len()) };
            input.splice(at..end, word.iter().copied());
        }
        _ => splice(input, at, &[rng.u8(..)]),
    }
}

fn splice(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}
