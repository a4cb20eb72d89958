//! Migrating FileTracker's databases with damaged bytes.

use std::cell::RefCell;
use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;
use tracker_host::export::write_sqlite;
use tracker_host::migrate::{MigrateError, Migration};
use tracker_host::{Durability, Error, Tracker};

use super::Input;
use super::cursors::populated;

/// A sound database with rows in every table, in small pages.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sound.db");
    write_sqlite(&populated(), &path, &|| false).expect("it can be exported");
    let connection = rusqlite::Connection::open(&path).expect("it was just written");
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM").expect("room for a copy");
    drop(connection);
    std::fs::read(&path).expect("it was just written")
});

thread_local! {
    static DIR: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Input: what to change in a sound database, five bytes a change (three of
/// them the place), or a whole database.
pub fn run(data: &[u8]) {
    let database = if data.starts_with(b"SQLite format 3\0") { data.to_vec() } else { damaged(data) };
    DIR.with_borrow_mut(|dir| {
        let dir = dir.get_or_insert_with(|| tempfile::tempdir().expect("a directory")).path();
        let (source, store) = (dir.join("source.db"), dir.join("store"));
        std::fs::write(&source, database).expect("room for the database");
        migrate(&source, &store);
        for left in [store.clone(), dir.join("store.rejects.jsonl")] {
            let _ = std::fs::remove_file(&left).or_else(|_| std::fs::remove_dir_all(&left));
        }
    });
}

fn damaged(changes: &[u8]) -> Vec<u8> {
    let mut database = SOUND.clone();
    for change in changes.chunks(5) {
        let mut change = Input(change);
        let place = usize::from(change.byte()) << 16 | usize::from(change.byte()) << 8 | usize::from(change.byte());
        let (how, value) = (change.byte(), change.byte());
        let place = place % database.len();
        match how {
            255 => database.truncate(place.max(1)),
            how if how % 2 == 0 => database[place] = value,
            _ => database[place] ^= 1 << (value % 8),
        }
    }
    database
}

fn migrate(source: &Path, store: &Path) {
    let options = Tracker::options(store).durability(Durability::NoSync).map_size(1 << 20);
    let summary = match Migration::new(source, store, options).backup(None).run() {
        Ok(summary) => summary,
        Err(error) => {
            assert!(is_the_sources(&error), "{error:?}");
            return;
        }
    };
    for table in &summary.tables {
        let rejected: u64 = table.rejected.values().sum();
        assert_eq!(table.migrated + rejected, table.source_rows, "{table:?}");
    }
    assert_eq!(summary.rejects_file.is_some(), summary.rejected() > 0);
    let mut tracker = Tracker::options(store).create(false).open().expect("it was migrated");
    let report = tracker.verify().expect("it can be verified");
    assert_eq!(report.errors, 0, "{:?}", report.findings);
}

/// An error that says what is wrong with the source.
fn is_the_sources(error: &MigrateError) -> bool {
    matches!(
        error,
        MigrateError::Source { .. }
            | MigrateError::NotSqlite(_)
            | MigrateError::Truncated { .. }
            | MigrateError::Locked(_)
            | MigrateError::Damaged { .. }
            | MigrateError::MissingTables { .. }
            | MigrateError::MissingColumn { .. }
            | MigrateError::Extra { .. }
            | MigrateError::Sqlite { .. }
            // Rows that contradict each other where the damage took the constraint away.
            | MigrateError::Target(Error::KeyConflict(_))
    )
}
