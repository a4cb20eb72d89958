//! Components that were damaged by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracker_host::store::Engine;
use tracker_host::store::memory::Memory;
use tracker_host::{CodeCache, Limits, Tracker};

use super::guest::{ANSWER, DATA, File, Guest, data};
use super::scene::{brief, in_time, read, write};
use crate::support::{figure, scale};

/// A component that uses what it is lent, and answers a text.
fn good() -> Vec<u8> {
    let answer = [0, 0, 1, DATA, 5].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    Guest::new()
        .with(data(ANSWER, &answer))
        .with(data(DATA, b"hello"))
        .reads(format!(
            "(call $open) (call $read)
             (call $txn.scan (global.get $txn) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 10) (i32.const 1000) (i32.const 16384))
             (call $txn.get (global.get $txn) (i32.const 1) (i32.const 16779) (i32.const 4) (i32.const 16384))
             (call $txn.drop (global.get $txn))
             (call $clock.now (i32.const 16384))
             (i32.const {ANSWER})"
        ))
        .writes(
            "(if (i32.eqz (local.get 0)) (then unreachable))
             (call $write) (call $put)
             (call $txn.commit (global.get $txn) (i32.const 16384)) (call $must)
             (i32.const 1024)",
        )
        .component()
}

/// What becomes of a component on a store of its own.
fn attempt(component: &[u8], limits: Limits) -> &'static str {
    let file = File::new(component);
    let engine = Arc::new(Memory::new());
    let options = Tracker::over(":memory:", engine.clone()).code_cache(CodeCache::Off).limits(limits);
    let Ok(mut session) = options.component(file.source()).open() else { return "refused" };
    let answers = [read(&mut session), write(&mut session), session.get_file("/a").map(drop)];
    // A write of this thread's that was left open would keep others out.
    assert!(engine.begin_write().is_ok(), "a transaction is open");
    if answers.iter().all(Result::is_ok) { "answered" } else { "ended in an error" }
}

#[test]
fn damaged_components_are_refused_or_end_within_their_limits() {
    let good = good();
    let mut limits = brief();
    limits.memory = 32 << 20;
    assert_eq!(attempt(&good, limits.clone()), "answered");
    let mut outcomes = BTreeMap::new();
    for seed in 0..scale(150, 10_000) {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let mut component = good.clone();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(..component.len());
            component[place] = if random.bool() { random.u8(..) } else { component[place] ^ (1 << random.u8(..8)) };
        }
        let limits = limits.clone();
        *outcomes.entry(in_time(move || attempt(&component, limits))).or_insert(0usize) += 1;
    }
    assert!(outcomes.contains_key("refused") && outcomes.len() > 1, "the damage is always of one kind: {outcomes:?}");
    for outcome in ["refused", "ended in an error", "answered"] {
        let number = outcomes.get(outcome).copied().unwrap_or(0);
        figure(&format!("hostile: damaged components, {outcome}"), number);
    }
}
