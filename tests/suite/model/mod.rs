//! Random sequences of calls against an oracle.
//!
//! The component and an oracle of plain lists ([`oracle`]) get the same calls
//! ([`generate`]) and have to answer the same, call by call ([`run`]): batches,
//! aborted ones too, traps and errors of the store in the middle, the store
//! opened again, other sessions and snapshots, lists that are read page by page
//! while they are written to. In the end the store verifies, holds exactly what
//! the oracle does, and an export of it makes the same store.
//!
//! The short form draws the same sequences each time, so CI is reproducible.
//! The long form draws others each time and says its seed. A sequence that
//! fails is shrunk and printed in lines: kept in `tests/model/`, it is run again
//! each time; `TRACKER_REPLAY=file` runs one.

mod generate;
mod oracle;
mod run;
mod typed;
mod wire;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::support::data::repository;
use crate::support::{ENGINES, figure, long, scale};
use generate::{Step, sequences};
use run::{Interface, Run};

/// Of the short form.
const SEED: u64 = 20_261_125;

fn seed() -> u64 {
    let given = std::env::var("TRACKER_SEED").ok().map(|seed| seed.parse().expect("TRACKER_SEED is a number"));
    given.unwrap_or_else(|| if long() { fastrand::u64(..) } else { SEED })
}

fn runner(cases: usize, seed: u64) -> TestRunner {
    let config = Config {
        cases: cases as u32,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Draws sequences of calls of these entities, of all if none is named, and
/// runs each on a store of its own. Returns how often each function was called.
fn hold(
    what: &str,
    entities: &[&str],
    cases: usize,
    mut start: impl for<'i> FnMut(&'i Interface) -> Option<Run<'i>>,
) -> BTreeMap<String, u64> {
    let interface = Interface::new();
    let strategy = sequences(&interface.signatures, &interface.entities, entities, 1..=80);
    let (seed, calls) = (seed(), RefCell::new(BTreeMap::new()));
    let start = RefCell::new(&mut start);
    let result = runner(cases, seed).run(&strategy, |steps| {
        let Some(mut run) = (start.borrow_mut())(&interface) else { return Ok(()) };
        let result = run.run(&steps);
        for (name, count) in &run.calls {
            *calls.borrow_mut().entry(name.clone()).or_default() += count;
        }
        result.map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => {
            let lines: Vec<String> = steps.iter().map(Step::to_line).collect();
            panic!("{what}, seed {seed}: {reason}\nKeep these lines in tests/model/:\n{}", lines.join("\n"));
        }
        Err(error) => panic!("{what}, seed {seed}: {error}"),
    }
    let calls = calls.into_inner();
    if calls.is_empty() {
        // The engine is not on this machine, and has said so.
        return calls;
    }
    figure(&format!("model, {what}: sequences (seed {seed})"), cases);
    figure(&format!("model, {what}: calls compared"), calls.values().sum::<u64>());
    calls
}

#[test]
fn files_symbols_and_vectors_are_what_plain_lists_say() {
    hold("files", &["files", "symbols", "vectors", "rows"], scale(300, 8000), |interface| Some(Run::new(interface)));
}

#[test]
fn memories_patterns_and_vectors_are_what_plain_lists_say() {
    let entities = ["memories", "patterns", "vectors", "rows"];
    hold("memories", &entities, scale(300, 8000), |interface| Some(Run::new(interface)));
}

#[test]
fn threads_conventions_and_the_rest_are_what_plain_lists_say() {
    let entities = ["threads", "conventions", "checkpoints", "metadata", "transcripts", "rows"];
    hold("threads", &entities, scale(300, 8000), |interface| Some(Run::new(interface)));
}

#[test]
fn all_calls_together_are_answered_as_plain_lists_say_and_none_is_left_out() {
    let calls = hold("all", &[], scale(200, 6000), |interface| Some(Run::new(interface)));
    // A new function of the interface has to be added to the oracle.
    let interface = Interface::new();
    let never: Vec<&str> = interface
        .signatures
        .iter()
        .map(|function| &*function.name)
        .filter(|name| calls.get(*name).is_none_or(|calls| *calls < 5))
        .collect();
    assert!(interface.signatures.len() > 100);
    assert!(never.is_empty(), "the generator hardly calls {never:?}");
}

#[test]
fn every_engine_answers_as_plain_lists_say() {
    for engine in ENGINES.iter().filter(|engine| engine.name != "lmdb") {
        hold(engine.name, &[], scale(40, 1000), |interface| Run::over(interface, engine));
    }
}

fn replay(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let steps: Vec<Step> = text.lines().filter(|line| line.starts_with('{')).map(Step::from_line).collect();
    assert!(!steps.is_empty(), "{} has no steps", file.display());
    let interface = Interface::new();
    let others =
        ENGINES.iter().filter(|engine| engine.name != "lmdb").filter_map(|engine| Run::over(&interface, engine));
    for mut run in std::iter::once(Run::new(&interface)).chain(others) {
        if let Err(difference) = run.run(&steps) {
            panic!("{}: {difference}", file.display());
        }
    }
}

#[test]
fn sequences_that_once_failed_do_not_fail_again() {
    if let Some(file) = std::env::var_os("TRACKER_REPLAY") {
        replay(Path::new(&file));
    }
    let kept = std::fs::read_dir(repository().join("tests/model")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
    assert!(!kept.is_empty());
    kept.iter().for_each(|file| replay(file));
}
