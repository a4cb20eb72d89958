//! Components that do as they like with transactions and handles.

use tracker_host::{Error, Limits, Tracker};

use super::guest::Guest;
use super::scene::{Scene, over_every_engine, read, said, write};

over_every_engine!(
    transactions_are_limited_and_end_with_the_call,
    a_write_that_is_not_committed_is_as_if_it_had_not_been,
    a_batch_holds_the_lock_no_longer_than_the_caller_has_it_open,
    a_handle_that_was_given_back_is_of_no_use,
    a_handle_cannot_be_made_up,
    a_read_transaction_cannot_be_written_to,
    nothing_can_be_called_while_the_host_writes_an_answer,
    functions_that_a_tracker_does_not_have_leave_nothing_open_and_give_out_no_handles,
);

/// Begins a write and puts entries that would damage the store.
const DIRTY: &str = "(call $open) (call $write) (call $put)";

/// `invalid-argument("")`.
const REFUSAL: &str = "(i32.store8 (i32.const 16512) (i32.const 1)) (i32.const 16512)";

fn transactions_are_limited_and_end_with_the_call(mut scene: Scene) {
    let guest = Guest::new().reads(
        "(call $open)
         (loop
           (call $store.begin (i32.const 0) (i32.const 16384))
           (br_if 0 (i32.eqz (i32.load8_u (i32.const 16384)))))
         (call $pass-on)",
    );
    let error = scene.fails(&guest, Limits::default(), read);
    assert!(said(&error).contains("8 transactions, the limit"), "{error:?}");
}

fn a_write_that_is_not_committed_is_as_if_it_had_not_been(mut scene: Scene) {
    assert!(scene.traps(&Guest::new().writes(format!("{DIRTY} unreachable")), write).contains("unreachable"));
    let error = scene.fails(&Guest::new().writes(format!("{DIRTY} {REFUSAL}")), Limits::default(), write);
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    // One that says that all is well is not believed.
    let quiet = Guest::new().writes(format!("{DIRTY} (i32.const 1024)"));
    let error = scene.fails(&quiet, Limits::default(), write);
    assert!(matches!(&error, Error::Nonsense(_)), "{error:?}");
    let named = |session: &mut Tracker| {
        let text = || tracker_host::wasmtime::component::Val::String("a".into());
        session.call_dynamic("set-metadata", &[text(), text()])
    };
    let error = scene.fails(&quiet, Limits::default(), named);
    assert!(matches!(&error, Error::Nonsense(_)), "{error:?}");
}

fn a_batch_holds_the_lock_no_longer_than_the_caller_has_it_open(mut scene: Scene) {
    let begin = Guest::new().function("begin-batch", format!("{DIRTY} (i32.const 1024)"));
    let end = |session: &mut Tracker| session.begin_batch().and_then(|()| session.end_batch());
    let abort = |session: &mut Tracker| session.begin_batch().and_then(|()| session.abort_batch());
    // It says that it has committed, or aborted, and has done nothing.
    for call in [end as fn(&mut Tracker) -> _, abort] {
        let error = scene.fails(&begin, Limits::default(), call);
        assert!(matches!(error, Error::Nonsense(_)), "{error:?}");
    }
    // It refuses, with the transaction open.
    for name in ["begin-batch", "end-batch", "abort-batch"] {
        let body = if name == "begin-batch" { format!("{DIRTY} {REFUSAL}") } else { REFUSAL.into() };
        let call = if name == "abort-batch" { abort } else { end };
        let error = scene.fails(&begin.clone().function(name, body), Limits::default(), call);
        assert!(matches!(error, Error::InvalidArgument(_)), "{name}: {error:?}");
    }
    // It traps in the middle, at the end, or while the guard is dropped.
    for name in ["set-metadata", "end-batch", "abort-batch"] {
        let guest = begin.clone().function(name, "unreachable");
        let mut session = scene.session(&guest, Limits::default());
        let mut batch = session.batch().unwrap();
        if name == "set-metadata" {
            assert!(matches!(write(&mut batch), Err(Error::Trap(_))));
            assert!(matches!(read(&mut batch), Err(Error::BatchAborted)));
        }
        let ended = if name == "abort-batch" {
            drop(batch);
            Err(Error::BatchAborted)
        } else {
            batch.commit()
        };
        assert!(ended.is_err(), "{name}");
        scene.unharmed(session);
    }
}

fn a_handle_that_was_given_back_is_of_no_use(mut scene: Scene) {
    let count = "(call $txn.count (global.get $txn) (i32.const 0) (i32.const 16384))";
    let drop = "(call $txn.drop (global.get $txn))";
    let commit = "(call $txn.commit (global.get $txn) (i32.const 16384))";
    for first in [drop, commit] {
        for then in [count, drop, commit, "(call $put)"] {
            let guest = Guest::new().writes(format!("(call $open) (call $write) {first} {then} (i32.const 1024)"));
            let message = scene.traps(&guest, write);
            assert!(message.contains("unknown handle index"), "{first} {then}: {message}");
        }
    }
}

fn a_handle_cannot_be_made_up(mut scene: Scene) {
    // Each session has handles of its own: that another has a transaction open does not help.
    // (Its table is made before, which takes a write.)
    read(&mut scene.session(&Guest::new().reads("(call $open) (i32.const 1024)"), Limits::default())).unwrap();
    let mut other = scene.good();
    other.begin_batch().unwrap();
    for handle in [0, 1, 2, 7, -1, i32::MIN] {
        for call in [
            "(call $txn.count (global.get $txn) (i32.const 0) (i32.const 16384))",
            "(call $txn.commit (global.get $txn) (i32.const 16384))",
            "(call $txn.drop (global.get $txn))",
            "(call $put)",
        ] {
            let body = format!("(call $open) (global.set $txn (i32.const {handle})) {call} (i32.const 1024)");
            let mut session = scene.session(&Guest::new().reads(body), Limits::default());
            let error = read(&mut session).unwrap_err();
            assert!(said(&error).contains("unknown handle index"), "{handle} {call}: {}", said(&error));
        }
    }
    other.abort_batch().unwrap();
    scene.unharmed(other);
}

fn a_read_transaction_cannot_be_written_to(mut scene: Scene) {
    let message = scene.traps(&Guest::new().writes("(call $open) (call $read) (call $put) (i32.const 1024)"), write);
    assert!(message.contains("a read transaction was written to"), "{message}");
}

/// The soundness of lending: while an answer is written into the component's
/// memory, from where it is in the store, the component cannot change the store.
fn nothing_can_be_called_while_the_host_writes_an_answer(mut scene: Scene) {
    let plain =
        "(local.set $x (global.get $heap)) (global.set $heap (i32.add (local.get $x) (local.get 3))) (local.get $x)";
    for call in [
        "(call $txn.drop (global.get $txn))",
        "(call $txn.commit (global.get $txn) (i32.const 16384))",
        "(call $put)",
        "(call $store.get (i32.const 1) (i32.const 16779) (i32.const 4) (i32.const 16384))",
        "(call $clock.now (i32.const 16384))",
    ] {
        let answer =
            "(call $txn.get (global.get $txn) (i32.const 1) (i32.const 16779) (i32.const 4) (i32.const 16384))";
        let guest = Guest::new()
            .realloc(&format!("(if (global.get $txn) (then {call})) {plain}"))
            .writes(format!("{DIRTY} {answer} (call $txn.drop (global.get $txn)) (i32.const 1024)"));
        let message = scene.traps(&guest, write);
        assert!(message.contains("cannot leave component instance"), "{call}: {message}");
    }
    // Where the answer is to go is looked at, too.
    for place in [-4, i32::MAX] {
        let guest = Guest::new()
            .realloc(&format!("(if (result i32) (global.get $txn) (then (i32.const {place})) (else {plain}))"))
            .writes(format!(
                "{DIRTY} (call $txn.get (global.get $txn) (i32.const 1) (i32.const 16779) (i32.const 4) (i32.const 16384))
                 unreachable"
            ));
        let message = scene.traps(&guest, write);
        assert!(message.contains("realloc return"), "{place}: {message}");
    }
}

fn functions_that_a_tracker_does_not_have_leave_nothing_open_and_give_out_no_handles(mut scene: Scene) {
    let guest = Guest::new()
        .wit(&[
            ("begin-batch: func()", "leave: func();\n leak: func() -> transaction;\n begin-batch: func()"),
            ("use store.{error as store-error}", "use store.{error as store-error, transaction}"),
        ])
        .function("leave", DIRTY)
        .function("leak", format!("{DIRTY} (global.get $txn)"));
    let error = scene.fails(&guest, Limits::default(), |session| session.call_dynamic("leave", &[]));
    assert!(matches!(error, Error::Nonsense(_)), "{error:?}");
    let error = scene.fails(&guest, Limits::default(), |session| session.call_dynamic("leak", &[]));
    assert!(matches!(&error, Error::InvalidArgument(why) if why.contains("handles")), "{error:?}");
    let listed = scene.session(&guest, Limits::default()).functions();
    assert!(listed.iter().any(|function| function.name == "leave"));
    assert!(listed.iter().all(|function| function.name != "leak"));
}
