//! Components that do not end.

use std::time::{Duration, Instant};

use tracker_host::wasmtime::component::Val;
use tracker_host::{Clock, Error, Tracker};

use super::guest::Guest;
use super::scene::{Scene, brief, in_time, limits, over_every_engine, read, write};

over_every_engine!(
    a_call_that_does_not_end_is_ended_at_its_deadline,
    a_call_by_name_and_the_calls_of_a_batch_have_deadlines,
    a_component_that_does_not_start_is_refused_at_the_deadline,
    conflicts_without_end_are_given_up_and_hold_no_lock_meanwhile,
    a_call_that_is_run_again_has_one_deadline_for_all_attempts,
    a_long_write_is_interrupted_in_the_middle,
    who_waits_for_a_hostile_writer_gets_a_turn,
);

/// An endless loop around something.
fn forever(body: &str) -> String {
    format!("(call $open) (loop {body} (br 0)) unreachable")
}

fn a_call_that_does_not_end_is_ended_at_its_deadline(mut scene: Scene) {
    let again = "(call $txn.drop (global.get $txn))";
    let cases = [
        Guest::new().reads("(call $spin) unreachable"),
        // For the argument, and for what the answer is freed with.
        Guest::new().realloc("(call $spin) unreachable"),
        Guest::new().after_reading("(call $spin)"),
        // Always out of the component and back.
        Guest::new().reads(forever("(call $clock.now (i32.const 16384))")),
        Guest::new().reads(forever(&format!("(call $read) {again}"))),
        Guest::new().reads(forever(&format!("(call $write) (call $put) {again}"))),
        // With everybody else's lock in hand.
        Guest::new().reads("(call $open) (call $write) (call $put) (call $spin) unreachable"),
    ];
    for guest in cases {
        let error = scene.fails(&guest, brief(), read);
        assert!(matches!(error, Error::Deadline(allowed) if allowed == brief().call_deadline), "{error:?}");
    }
}

fn a_call_by_name_and_the_calls_of_a_batch_have_deadlines(mut scene: Scene) {
    let error = scene.fails(&Guest::new().reads("(call $spin) unreachable"), brief(), |session| {
        session.call_dynamic("get-metadata", &[Val::String("a".into())])
    });
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    for function in ["begin-batch", "end-batch", "abort-batch"] {
        let guest = Guest::new().function("begin-batch", "(call $open) (call $write) (i32.const 1024)");
        let error = scene.fails(&guest.function(function, "(call $spin) unreachable"), brief(), |session| {
            session.begin_batch()?;
            if function == "end-batch" { session.end_batch() } else { session.abort_batch() }
        });
        assert!(matches!(error, Error::Deadline(_)), "{function}: {error:?}");
    }
}

fn a_component_that_does_not_start_is_refused_at_the_deadline(mut scene: Scene) {
    let guest = Guest::new().with("(func $go (call $spin)) (start $go)");
    let error = scene.refused(&guest.component(), brief());
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    let guest = Guest::new().function("get-import-state", "(call $spin) unreachable");
    let error = scene.refused(&guest.component(), brief());
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
}

/// `store(conflict)`: the host is to run the call again.
const CONFLICT: &str = "
    (i32.store (i32.const 16512) (i32.const 1))
    (i32.store (i32.const 16520) (i32.const 4))
    (i32.store (i32.const 16528) (i32.const 5))
    (i32.const 16512)";

fn conflicts_without_end_are_given_up_and_hold_no_lock_meanwhile(mut scene: Scene) {
    let guest = Guest::new().writes(format!("(call $open) (call $write) (call $put) {CONFLICT}"));
    let error = scene.fails(&guest, limits(|_| {}), write);
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
}

fn a_call_that_is_run_again_has_one_deadline_for_all_attempts(mut scene: Scene) {
    // Each attempt takes 200 ms of a clock that the guest looks at.
    let guest = Guest::new()
        .with(
            "(global $since (mut i64) (i64.const 0))
             (func $ms (result i64)
               (call $clock.now (i32.const 16384))
               (i64.add
                 (i64.mul (i64.load (i32.const 16384)) (i64.const 1000))
                 (i64.extend_i32_u (i32.div_u (i32.load (i32.const 16392)) (i32.const 1000000)))))
             (func $work
               (global.set $since (call $ms))
               (loop (br_if 0 (i64.lt_u (call $ms) (i64.add (global.get $since) (i64.const 200))))))",
        )
        .writes(format!("(call $work) {CONFLICT}"));
    let begun = Instant::now();
    let options = scene.options().clock(Clock::new(move || begun.elapsed()));
    let mut session = options.component(guest.file().source()).limits(brief()).open().unwrap();
    let error = write(&mut session).unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    scene.unharmed(session);
}

fn a_long_write_is_interrupted_in_the_middle(mut scene: Scene) {
    // Two million puts of 19 bytes in one crossing, in no order. The guest does
    // nothing afterwards where wasmtime would look at the deadline.
    let guest = Guest::new()
        .with(
            "(func $fill (local $at i32) (local $i i32)
               (drop (memory.grow (i32.const 600)))
               (local.set $at (i32.const 131072))
               (loop
                 (i32.store (local.get $at) (i32.const 0x04000100))
                 (i32.store offset=4 (local.get $at) (i32.const 0x04000000))
                 (i32.store offset=8 (local.get $at) (i32.const 0))
                 (i32.store offset=11 (local.get $at) (i32.mul (local.get $i) (i32.const 0x9e3779b1)))
                 (local.set $at (i32.add (local.get $at) (i32.const 19)))
                 (local.set $i (i32.add (local.get $i) (i32.const 1)))
                 (br_if 0 (i32.lt_u (local.get $i) (i32.const 2000000)))))",
        )
        .writes(
            "(call $open) (call $fill) (call $write)
             (call $txn.write (global.get $txn) (i32.const 131072) (i32.const 38000000) (i32.const 16384))
             (call $txn.drop (global.get $txn))
             (i32.const 1024)",
        );
    let error = scene.fails(&guest, brief(), write);
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
}

fn who_waits_for_a_hostile_writer_gets_a_turn(scene: Scene) {
    let guest = Guest::new().writes("(call $open) (call $write) (call $put) (call $spin) unreachable");
    let mut evil = scene.session(&guest, brief());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut good: Tracker = scene.good();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(matches!(write(&mut evil), Err(Error::Deadline(_))));
                // LMDB's lock is not a queue.
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        for turn in 0..3 {
            good.set_metadata("turn", &turn.to_string()).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(good.get_metadata("turn").unwrap().as_deref(), Some("2"));
}

/// Waiting for a server is not time of the component's own, within reason: each
/// of these look-ups takes microseconds, and waits for milliseconds.
#[cfg(all(feature = "postgres", unix))]
#[test]
fn who_does_nothing_but_ask_a_slow_server_is_ended() {
    let Some(namespace) = crate::support::postgres::Namespace::new() else { return };
    let proxy = crate::support::proxy::Proxy::to(namespace.address());
    let mut limits = brief();
    limits.server_waits = 3;
    let look_up = "(call $store.get (i32.const 0) (i32.const 16704) (i32.const 5) (i32.const 16384))";
    let guest = Guest::new().reads(forever(look_up)).file();
    let options = Tracker::options(namespace.through(&proxy.address)).limits(limits);
    let mut session = options.component(guest.source()).open().unwrap();
    proxy.delay(Duration::from_millis(30));
    let begun = Instant::now();
    let error = in_time(move || read(&mut session).unwrap_err());
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    // Not before it has had all of its time.
    assert!(begun.elapsed() > brief().call_deadline * 3, "{:?}", begun.elapsed());
}
