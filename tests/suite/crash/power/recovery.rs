//! What is found in a file that was left by a loss of power.

use std::path::PathBuf;

use tempfile::TempDir;
use tracker_host::{Durability, Result, Tracker};

use crate::crash::load::{self, State};

#[derive(Debug)]
pub enum Found {
    /// Every page, index and record is as after so many commits.
    Sound(u64),
    /// It was refused, or `verify` found errors.
    Noticed(#[allow(dead_code, reason = "printed")] String),
    /// It was opened and verified, and its records are those of no number of commits.
    Unnoticed(#[allow(dead_code, reason = "printed")] u64),
}

/// Where states are put to look at them.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        // In memory, where there is such a place: what is on the disk is the model's to say.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Place { dir: dir.unwrap() }
    }

    /// Opens a state. `go_on` commits one more transaction to it, if it is sound.
    pub fn recover(&self, image: Option<&[u8]>, go_on: bool) -> Found {
        // A name of its own: another may still be closing.
        let store: PathBuf = self.dir.path().join(format!("{}", fastrand::u64(..)));
        std::fs::create_dir(&store).unwrap();
        if let Some(image) = image {
            std::fs::write(store.join("data.mdb"), image).unwrap();
        }
        let options = Tracker::options(&store).durability(Durability::NoSync).check_pages(true);
        let found = match options.open() {
            Ok(mut tracker) => look(&mut tracker, go_on).unwrap_or_else(|error| Found::Noticed(format!("{error:?}"))),
            Err(error) => Found::Noticed(format!("{error:?}")),
        };
        std::fs::remove_dir_all(&store).unwrap();
        found
    }
}

fn look(tracker: &mut Tracker, go_on: bool) -> Result<Found> {
    let report = tracker.verify()?;
    if report.errors + report.warnings > 0 {
        return Ok(Found::Noticed(format!("{:?}", report.findings)));
    }
    let state = State::read(tracker, 0)?;
    if state != State::after(0, state.commits) {
        return Ok(Found::Unnoticed(state.commits));
    }
    if go_on {
        load::commit(tracker, 0, state.commits + 1)?;
        assert_eq!(State::read(tracker, 0)?, State::after(0, state.commits + 1));
        assert_eq!(tracker.verify()?.errors, 0);
    }
    Ok(Found::Sound(state.commits))
}
