//! The gate under every interleaving of few threads (and, with three of them,
//! of few preemptions: `LOOM_MAX_PREEMPTIONS` allows others).
//!
//! A map is a cell of loom's: it fails if a reader looks while it is resized,
//! and also if nothing orders the two. Threads that wait for ever fail, too.

use std::sync::Arc;
use std::time::Duration;

use interleavings::gate::{Gate, Refused};
use interleavings::sync::LITTLE;
use loom::cell::UnsafeCell;
use loom::thread;

const PATIENT: Duration = Duration::from_secs(3600);
/// Gives up at once, or after the others had their turn.
const IMPATIENT: [Duration; 2] = [Duration::ZERO, LITTLE];

/// An environment: the gate, the map that a resize exchanges, and what a writer writes.
#[derive(Clone)]
struct Environment {
    gate: Arc<Gate>,
    map: Arc<UnsafeCell<u32>>,
    data: Arc<UnsafeCell<u32>>,
}

impl Environment {
    fn new() -> Self {
        let cell = || Arc::new(UnsafeCell::new(0));
        Environment { gate: Arc::default(), map: cell(), data: cell() }
    }

    fn read(&self) {
        let pass = self.gate.enter();
        // SAFETY: loom checks that nobody changes it meanwhile.
        self.map.with(|map| unsafe { assert!(*map < 10) });
        drop(pass);
    }

    fn resize(&self, patience: Duration) -> bool {
        // SAFETY: loom checks that nobody else looks.
        self.gate.resize(patience, || self.map.with_mut(|map| unsafe { *map += 1 })).is_some()
    }

    /// As a write transaction that meets the end of the map: it begins, is
    /// aborted, grows the map and begins again.
    fn write_and_grow(&self, patience: Duration) {
        let writer = self.gate.enter_writer().ok().expect("nobody lets a writer go elsewhere");
        self.read();
        self.resize(patience);
        self.read();
        // SAFETY: loom checks that there is one writer.
        self.data.with_mut(|data| unsafe { *data += 1 });
        drop(writer);
    }

    fn resized(&self) -> u32 {
        // SAFETY: all threads have ended.
        self.map.with(|map| unsafe { *map })
    }

    fn written(&self) -> u32 {
        // SAFETY: as before.
        self.data.with(|data| unsafe { *data })
    }
}

/// Explores; with three threads only some preemptions, unless more are asked for.
fn explore(preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    if model.preemption_bound.is_none() {
        model.preemption_bound = preemptions;
    }
    model.check(f);
}

fn spawn(environment: &Environment, f: impl FnOnce(Environment) + 'static) -> thread::JoinHandle<()> {
    let environment = environment.clone();
    thread::spawn(move || f(environment))
}

#[test]
fn a_resize_is_alone_and_seen_by_those_who_come_after() {
    explore(None, || {
        let environment = Environment::new();
        let reader = spawn(&environment, |environment| environment.read());
        assert!(environment.resize(PATIENT));
        environment.read();
        reader.join().unwrap();
        assert_eq!(environment.resized(), 1);
    });
}

#[test]
fn a_resize_among_two_readers_is_alone_and_ends() {
    explore(Some(3), || {
        let environment = Environment::new();
        let readers = [0, 1].map(|_| spawn(&environment, |environment| environment.read()));
        assert!(environment.resize(PATIENT));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(environment.resized(), 1);
    });
}

#[test]
fn a_reader_goes_on_when_a_resize_gives_up() {
    for patience in IMPATIENT {
        explore(Some(3), move || {
            let environment = Environment::new();
            let readers = [0, 1].map(|_| spawn(&environment, |environment| environment.read()));
            let resized = environment.resize(patience);
            environment.read();
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            assert_eq!(environment.resized(), u32::from(resized));
        });
    }
}

#[test]
fn two_resizes_follow_each_other() {
    explore(Some(3), || {
        let environment = Environment::new();
        let reader = spawn(&environment, |environment| environment.read());
        let other = spawn(&environment, |environment| assert!(environment.resize(PATIENT)));
        assert!(environment.resize(PATIENT));
        other.join().unwrap();
        reader.join().unwrap();
        assert_eq!(environment.resized(), 2);
    });
}

#[test]
fn writers_that_grow_the_map_are_one_at_a_time_and_readers_go_on() {
    for patience in [PATIENT, IMPATIENT[0], IMPATIENT[1]] {
        explore(Some(2), move || {
            let environment = Environment::new();
            let writer = spawn(&environment, move |environment| environment.write_and_grow(patience));
            let reader = spawn(&environment, |environment| environment.read());
            environment.write_and_grow(patience);
            writer.join().unwrap();
            reader.join().unwrap();
            assert_eq!(environment.written(), 2);
        });
    }
}

/// A write transaction as it is let go elsewhere: both permissions.
fn transaction(gate: &Arc<Gate>) -> (interleavings::gate::Pass, interleavings::gate::WriterPass) {
    let writer = gate.enter_writer().ok().expect("there is no orphan yet");
    (gate.enter(), writer)
}

#[test]
fn what_was_let_go_elsewhere_is_ended_by_its_own_thread_and_nobody_waits_for_ever() {
    explore(Some(3), || {
        let environment = Environment::new();
        let mine = transaction(&environment.gate);
        let me = thread::current().id();
        let elsewhere = spawn(&environment, move |environment| environment.gate.adopt(me, Box::new(mine)));
        let other = spawn(&environment, |environment| match environment.gate.enter_writer() {
            Ok(_) | Err(Refused::Orphaned) => {}
            Err(Refused::SameThread) => panic!("this thread has no transaction"),
        });
        // Until it is let go this thread has a transaction; then it ends it.
        elsewhere.join().unwrap();
        assert!(environment.gate.enter_writer().is_ok());
        environment.read();
        assert!(environment.resize(PATIENT));
        other.join().unwrap();
    });
}

#[test]
fn a_resize_that_waits_for_an_orphan_ends_when_its_thread_reads() {
    explore(Some(3), || {
        let environment = Environment::new();
        let mine = transaction(&environment.gate);
        environment.gate.adopt(thread::current().id(), Box::new(mine));
        let resize = spawn(&environment, |environment| assert!(environment.resize(PATIENT)));
        // A read is enough: it meets the orphan first.
        environment.read();
        resize.join().unwrap();
        assert_eq!(environment.resized(), 1);
    });
}
