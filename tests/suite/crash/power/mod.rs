//! What a disk may hold after a loss of power.
//!
//! A writer runs with `recorder.c` preloaded, which notes every write, sync and
//! acknowledgement. From that the states are rebuilt in which the power may have
//! left the disk, at any moment: what a completed sync covers is there; of the
//! later writes any, in any order, whole or torn at sectors. Each state is
//! opened, checked page by page and verified, and its records are compared with
//! what the number of commits in it says that they must be.

mod disk;
mod record;
mod recovery;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use tracker_host::Durability;

use super::smallest;
use crate::support::{figure, long, scale};
use disk::{Choice, Disk};
use record::{Event, Manner, Recording, VARIABLE, record, write_and_acknowledge};
use recovery::{Found, Place};

/// How many of what was acknowledged may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    AllOf,
    AllButTheLast,
    Nothing,
}

/// What was counted over the states of a recording.
#[derive(Debug, Default)]
struct Tally {
    states: u64,
    /// Sound, with everything that was acknowledged.
    whole: u64,
    /// Sound, at an earlier commit than was acknowledged.
    earlier: u64,
    /// Refused when it was opened, or found by `verify`.
    noticed: u64,
    /// Refused, before the store had been created: there is nothing to lose.
    unborn: u64,
    /// Opened and verified, and not what any number of commits leaves.
    unnoticed: u64,
    /// States that break the promise, as far as they are shown.
    broken: Vec<String>,
}

/// Checks states of a recording: the telling ones at every moment, and random ones.
fn check(recording: &Recording, promise: Promise, budget: usize, seed: u64) -> Tally {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut tally, mut seen, place) = (Tally::default(), HashSet::new(), Place::new());
    let mut disk = Disk::default();
    let moments = recording.events.len();
    // The shares of the budget: moments are visited in order, some states at each.
    for (moment, event) in recording.events.iter().enumerate() {
        disk.apply(event);
        let telling = matches!(event, Event::Mark(_) | Event::Sync) || disk.touches_meta(event);
        let share = budget.saturating_sub(tally.states as usize) / (moments - moment);
        let lucky = random.usize(0..8 * moments) < budget;
        let mut choices = if telling && (long() || random.bool()) { Choice::telling() } else { Vec::new() };
        if lucky {
            let pending = disk.pending();
            if pending > 0 {
                choices.extend([Choice::Only(random.usize(0..pending)), Choice::AllBut(random.usize(0..pending))]);
                choices.extend([Choice::Torn(random.usize(0..=pending)), Choice::Pages, Choice::Sectors]);
            }
            choices.extend((0..share).map(|_| Choice::random(pending, &mut random)));
        }
        for choice in choices {
            let image = disk.after_loss(choice, &mut random);
            let mut hasher = DefaultHasher::new();
            (&image, disk.acknowledged).hash(&mut hasher);
            if !seen.insert(hasher.finish()) {
                continue;
            }
            tally.states += 1;
            let found = place.recover(image.as_deref(), tally.states.is_multiple_of(8));
            if matches!(found, Found::Noticed(_)) && !disk.is_created() {
                tally.unborn += 1;
                continue;
            }
            judge(&mut tally, promise, disk.acknowledged, &found, || {
                format!("after event {moment} {event}, {choice:?}")
            });
        }
    }
    tally
}

fn judge(tally: &mut Tally, promise: Promise, acknowledged: u64, found: &Found, state: impl FnOnce() -> String) {
    let kept = match found {
        Found::Sound(commits) if (acknowledged..=acknowledged + 1).contains(commits) => {
            tally.whole += 1;
            true
        }
        Found::Sound(commits) if *commits < acknowledged => {
            tally.earlier += 1;
            promise == Promise::Nothing || promise == Promise::AllButTheLast && commits + 1 == acknowledged
        }
        // From the future: then the recording is not what it seems.
        Found::Sound(_) => false,
        Found::Noticed(_) => {
            tally.noticed += 1;
            promise == Promise::Nothing
        }
        Found::Unnoticed(_) => {
            tally.unnoticed += 1;
            promise == Promise::Nothing
        }
    };
    if !kept && tally.broken.len() < 5 {
        tally.broken.push(format!("{}: {acknowledged} were acknowledged, {found:?}", state()));
    } else if !kept {
        tally.broken.push(String::new());
    }
}

/// Records a writer with this durability, and checks what it leaves.
fn states(test: &str, durability: Durability, promise: Promise, short: usize, full: usize) -> Tally {
    let mut total = Tally::default();
    for seed in 0..scale(1, 4) as u64 {
        let recording = record(test, durability, Manner::Faithful, None, scale(30, 80) as u64);
        assert!(recording.growths() >= 3, "the map grew {} times", recording.growths());
        let tally = check(&recording, promise, scale(short, full / 4), seed);
        total.states += tally.states;
        total.whole += tally.whole;
        total.earlier += tally.earlier;
        total.noticed += tally.noticed;
        total.unnoticed += tally.unnoticed;
        total.unborn += tally.unborn;
        total.broken.extend(tally.broken);
    }
    figure(&format!("power: states checked with {durability:?}"), total.states);
    figure("  with everything acknowledged", total.whole);
    figure("  at an earlier commit", total.earlier);
    figure("  half created, empty and refused", total.unborn);
    figure("  damaged, and noticed", total.noticed);
    figure("  damaged, and not noticed", total.unnoticed);
    figure("  against what is promised", total.broken.len());
    total
}

macro_rules! child {
    () => {
        if let Ok(task) = std::env::var(VARIABLE) {
            return write_and_acknowledge(&task);
        }
    };
}

#[test]
fn with_sync_a_loss_of_power_loses_nothing_that_was_acknowledged() {
    child!();
    let test = "power::with_sync_a_loss_of_power_loses_nothing_that_was_acknowledged";
    let tally = states(test, Durability::Sync, Promise::AllOf, 250, 10_000);
    assert!(tally.broken.is_empty(), "{:#?}", tally.broken);
    assert_eq!(tally.states, tally.whole + tally.unborn);
}

#[test]
fn with_no_meta_sync_a_loss_of_power_undoes_the_last_commit_at_most() {
    child!();
    let test = "power::with_no_meta_sync_a_loss_of_power_undoes_the_last_commit_at_most";
    let tally = states(test, Durability::NoMetaSync, Promise::AllButTheLast, 250, 10_000);
    assert!(tally.broken.is_empty(), "{:#?}", tally.broken);
    assert!(tally.earlier > 0, "it never did: it would be worth promising more");
}

#[test]
fn with_no_sync_a_loss_of_power_can_lose_and_damage_and_never_kills_the_process() {
    child!();
    let test = "power::with_no_sync_a_loss_of_power_can_lose_and_damage_and_never_kills_the_process";
    let tally = states(test, Durability::NoSync, Promise::Nothing, 150, 10_000);
    assert!(tally.broken.is_empty(), "{:#?}", tally.broken);
    assert!(tally.noticed > 0 && tally.earlier > 0, "{tally:?}: it would be worth promising more");
}

/// Each of these breaks what the checks above rest on. They have to say so.
#[test]
fn the_checks_notice_what_is_not_synced_acknowledged_too_early_or_counted_apart() {
    child!();
    let test = "power::the_checks_notice_what_is_not_synced_acknowledged_too_early_or_counted_apart";
    let broken = [
        (Manner::Faithful, Some("sync")),
        (Manner::Faithful, Some("dsync")),
        (Manner::Faithful, Some("names")),
        (Manner::AcknowledgesEarly, None),
        (Manner::CountsApart, None),
    ];
    for (manner, swallowed) in broken {
        let recording = record(test, Durability::Sync, manner, swallowed, 14);
        let tally = check(&recording, Promise::AllOf, 100, 1);
        assert!(!tally.broken.is_empty(), "{manner:?}, {swallowed:?}: {tally:?}");
        figure(
            &format!("power: {manner:?}, without {}", swallowed.unwrap_or("nothing")),
            format_args!("{} of {} states are against the promise", tally.broken.len(), tally.states),
        );
    }
    let recording = record(test, Durability::Sync, Manner::Faithful, None, 14);
    assert!(check(&recording, Promise::AllOf, 100, 1).broken.is_empty());
}
