//! The recorded databases and stores migrated from them.
//!
//! `small.db` is in the repository. `large.db` is not: tests that need it look
//! into `$TRACKER_DATA` and `../shared/data`, and say so when they skip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tracker_host::Tracker;
use tracker_host::migrate::{Migration, Summary};

/// A database, what was recorded of it, and a store migrated from it.
pub struct Fixture {
    pub name: &'static str,
    pub database: PathBuf,
    pub manifest: Value,
    pub store: PathBuf,
    pub summary: Summary,
    _dir: TempDir,
}

impl Fixture {
    /// A session on the migrated store; only for reads, since tests share it.
    pub fn tracker(&self) -> Tracker {
        Tracker::open(&self.store).unwrap()
    }

    /// A copy of the store that the test may change.
    pub fn copy(&self) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::create_dir(&store).unwrap();
        std::fs::copy(self.store.join("data.mdb"), store.join("data.mdb")).unwrap();
        (dir, store)
    }
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn migrated(name: &'static str, database: PathBuf, manifest: &Path, dir: TempDir) -> Fixture {
    let store = dir.path().join("store");
    let migration = Migration::new(&database, &store, Tracker::options(&store)).backup(None);
    let summary = migration.run().unwrap();
    // One context is a lone surrogate, which no UTF-8 text can hold: the tracker answers U+FFFD.
    let manifest = std::fs::read_to_string(manifest).unwrap().replace(r#""\udcff""#, r#""\ufffd""#);
    let manifest = serde_json::from_str(&manifest).unwrap();
    Fixture { name, database, manifest, store, summary, _dir: dir }
}

/// The small database, which has every edge case that the reference accepts.
pub fn small() -> &'static Fixture {
    static SMALL: LazyLock<Fixture> = LazyLock::new(|| {
        let data = repository().join("tests/data");
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("small.db");
        std::fs::copy(data.join("small.db"), &database).unwrap();
        migrated("small", database, &data.join("small.manifest.json"), dir)
    });
    &SMALL
}

/// The large database, if it is on this machine.
pub fn large() -> Option<&'static Fixture> {
    static LARGE: LazyLock<Option<Fixture>> = LazyLock::new(|| {
        let configured = std::env::var_os("TRACKER_DATA").map(PathBuf::from);
        let data = configured.unwrap_or_else(|| repository().join("../shared/data"));
        let (packed, manifest) = (data.join("large.db.xz"), data.join("large.manifest.json"));
        if !packed.is_file() || !manifest.is_file() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("large.db");
        let out = std::fs::File::create(&database).unwrap();
        let unpacked = Command::new("xz").arg("-dkc").arg(&packed).stdout(out).status();
        match unpacked {
            Ok(status) if status.success() => Some(migrated("large", database, &manifest, dir)),
            _ => None,
        }
    });
    static SAID: Mutex<bool> = Mutex::new(false);
    if LARGE.is_none() && !std::mem::replace(&mut *SAID.lock().unwrap(), true) {
        eprintln!("SKIPPED: large.db is not on this machine (set TRACKER_DATA to its folder, and install xz)");
    }
    LARGE.as_ref()
}

/// Both databases, or the one that is there.
pub fn all() -> Vec<&'static Fixture> {
    std::iter::once(small()).chain(large()).collect()
}
