//! Connections that are lost inside a commit.

use tracker_host::Tracker;
use tracker_host::store::Engine;
use tracker_host::store::postgres::{Options, Postgres};

use super::{increment, table, value};
use crate::support::postgres::Namespace;
use crate::support::proxy::{Cut, Proxy};
use crate::support::{figure, scale};

const CUTS: [Cut; 5] = [Cut::Never, Cut::Before, Cut::After, Cut::LateWhole, Cut::LateCommit];

#[test]
fn a_commit_whose_answer_is_lost_takes_effect_once() {
    let Some(namespace) = Namespace::new() else { return };
    let proxy = Proxy::to(namespace.address());
    let engine = Postgres::open(&namespace.through(&proxy.address), Options::default()).unwrap();
    let tables = table(&engine);
    let direct = namespace.engine();
    let direct_table = table(&direct)[0].unwrap();
    let mut attempts = 0;
    let rounds = scale(2, 40);
    for round in 0..rounds {
        for cut in CUTS {
            proxy.cut_next(cut);
            attempts += increment(&engine, &tables, b"n").unwrap();
            let now = value(&direct, direct_table, b"n");
            let expected = round * CUTS.len() + CUTS.iter().position(|known| *known == cut).unwrap() + 1;
            assert_eq!(now, Some(expected.to_string().into_bytes()), "after {cut:?}");
        }
    }
    let cuts = u32::try_from(rounds * (CUTS.len() - 1)).unwrap();
    assert_eq!(proxy.cuts(), cuts);
    let commits = u32::try_from(rounds * CUTS.len()).unwrap();
    // Of the four that are cut one never arrives, and is run again; one may
    // come too late; and what comes late may be in the way of another attempt.
    assert!(attempts >= commits + u32::try_from(rounds).unwrap(), "{attempts}");
    figure("commits that were cut", cuts);
}

#[test]
fn a_call_whose_commit_is_lost_is_made_once() {
    let Some(namespace) = Namespace::new() else { return };
    let proxy = Proxy::to(namespace.address());
    let mut tracker = Tracker::open(namespace.through(&proxy.address)).unwrap();
    let mut ids = Vec::new();
    for (n, cut) in CUTS.iter().cycle().take(10).enumerate() {
        proxy.cut_next(*cut);
        ids.push(tracker.upsert_symbol("/a.rs", &format!("s{n}"), "function", 1, None, 0, 1, n as u64).unwrap());
    }
    assert_eq!(ids, (1..=10).collect::<Vec<u64>>(), "each took one id");
    for cut in CUTS {
        let mut batch = tracker.batch().unwrap();
        batch.set_metadata(&format!("{cut:?}"), "1").unwrap();
        proxy.cut_next(cut);
        // A batch cannot be run again here: it is whole, or the caller is told.
        let committed = batch.commit().is_ok();
        let found = tracker.get_metadata(&format!("{cut:?}")).unwrap().is_some();
        assert_eq!(committed, found, "{cut:?}");
        match cut {
            Cut::Never | Cut::After | Cut::LateCommit => assert!(committed, "{cut:?}"),
            Cut::Before => assert!(!committed),
            // Whichever is first: it, or the mark that it is not to be.
            Cut::LateWhole => {}
        }
    }
    assert_eq!(tracker.verify().unwrap().errors, 0);
    assert_eq!(tracker.symbol_count().unwrap(), 10);
}

#[test]
fn rows_of_commits_that_are_known_do_not_stay() {
    let Some(namespace) = Namespace::new() else { return };
    let count = |engine: &Postgres| engine.pending_commits().unwrap();
    {
        let engine = namespace.engine();
        let tables = table(&engine);
        for _ in 0..200 {
            increment(&engine, &tables, b"n").unwrap();
        }
        assert!(count(&engine) < 100, "{}", count(&engine));
    }
    let engine = namespace.engine();
    assert_eq!(count(&engine), 0, "a store that is closed leaves none");
    assert_eq!(engine.max_key_size(), 2048);
}
