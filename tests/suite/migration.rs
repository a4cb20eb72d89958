//! Migration: what arrives, what is refused, what an interruption leaves.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use tracker_host::Tracker;
use tracker_host::migrate::{Existing, MigrateError, Migration, Summary};

use crate::support::{data, large, small};

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Place { dir: tempfile::tempdir().unwrap() }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn store(&self) -> PathBuf {
        self.path("store")
    }
    /// A database for this test to change.
    fn database(&self) -> PathBuf {
        let path = self.path("source.db");
        std::fs::copy(&small().database, &path).unwrap();
        path
    }
    fn migration(&self, database: &Path) -> Migration<'static> {
        Migration::new(database, self.store(), Tracker::options(self.store())).backup(None)
    }
    fn migrate(&self, database: &Path) -> Result<Summary, MigrateError> {
        self.migration(database).run()
    }
}

fn change(database: &Path, sql: &str) {
    Connection::open(database).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn counts_are_those_of_the_manifest_but_for_the_rejects() {
    for fixture in data::all() {
        for table in &fixture.summary.tables {
            let rejected: u64 = table.rejected.values().sum();
            assert_eq!(table.source_rows, fixture.manifest["counts"][table.table].as_u64().unwrap());
            assert_eq!(table.migrated + rejected, table.source_rows);
        }
        let expected = u64::from(fixture.name == "small");
        assert_eq!(fixture.summary.rejected(), expected);
        let report = fixture.tracker().verify().unwrap();
        assert_eq!(report.errors, 0, "{:?}", report.findings);
        assert!(fixture.tracker().get_import_state().unwrap().is_none());
    }
}

#[test]
fn rows_that_the_schema_cannot_hold_are_listed_and_the_others_arrive() {
    let place = Place::new();
    let database = place.database();
    change(
        &database,
        "INSERT INTO metadata VALUES (NULL, 'v');
         INSERT INTO metadata VALUES ('blob', x'00ff');
         UPDATE files SET size = 'abc' WHERE path = '/home/dev/project/src/a';
         UPDATE files SET blob_offset = 1.5 WHERE path = '/home/dev/project/src/_';
         UPDATE session_threads SET is_active = 2 WHERE id = 1;
         UPDATE session_threads SET touches = NULL WHERE id = 2;
         INSERT INTO memories (id, text, blob_offset, blob_length, key_hash, created_at) VALUES (NULL, '', 0, 0, 77, 0);
         INSERT INTO pattern_cache_files VALUES (0, x'ff');",
    );
    let summary = place.migrate(&database).unwrap();
    let reasons: Vec<(&str, String, u64)> = summary
        .tables
        .iter()
        .flat_map(|table| table.rejected.iter().map(|(reason, rows)| (table.table, reason.clone(), *rows)))
        .collect();
    let expected = [
        ("files", "blob_offset is a REAL, not an integer"),
        ("files", "size is a TEXT, not an integer"),
        ("metadata", "key is NULL, not text"),
        ("metadata", "value is a BLOB, not text"),
        ("memories", "id is NULL, not text"),
        ("pattern_cache_files", "file_path is a BLOB, not text"),
        ("session_threads", "is_active is neither 0 nor 1, not a flag"),
        ("session_threads", "touches is NULL, not an integer"),
        ("thread_files", "thread_id is negative, not an id"),
    ];
    assert_eq!(reasons, expected.map(|(table, reason)| (table, reason.to_owned(), 1)));
    let file = std::fs::read_to_string(summary.rejects_file.unwrap()).unwrap();
    assert_eq!(file.lines().count(), 9);
    assert!(file.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["rowid"].is_i64()));
    assert_eq!(Tracker::open(place.store()).unwrap().verify().unwrap().errors, 0);
}

#[test]
fn a_database_in_wal_mode_is_read_with_what_is_in_its_log() {
    let place = Place::new();
    let database = place.database();
    let writer = Connection::open(&database).unwrap();
    writer.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO metadata VALUES ('in the log', 'yes')").unwrap();
    assert!(database.with_file_name("source.db-wal").exists());
    let backup = place.path("copy.db");
    place.migration(&database).backup(Some(backup.clone())).run().unwrap();
    let mut tracker = Tracker::open(place.store()).unwrap();
    assert_eq!(tracker.get_metadata("in the log").unwrap().as_deref(), Some("yes"));
    let copied: i64 =
        Connection::open(backup).unwrap().query_row("SELECT count(*) FROM metadata", [], |row| row.get(0)).unwrap();
    assert_eq!(copied, 13);
}

#[test]
fn a_database_of_an_older_schema_arrives_without_vectors_and_contexts() {
    let place = Place::new();
    let database = place.database();
    change(
        &database,
        "DROP INDEX idx_files_contexts;
         ALTER TABLE files DROP COLUMN vector_offset; ALTER TABLE files DROP COLUMN vector_length;
         ALTER TABLE files DROP COLUMN detected_contexts;
         ALTER TABLE symbols DROP COLUMN vector_offset; ALTER TABLE symbols DROP COLUMN vector_length;
         ALTER TABLE memories DROP COLUMN vector_offset; ALTER TABLE memories DROP COLUMN vector_length;",
    );
    place.migrate(&database).unwrap();
    let mut tracker = Tracker::open(place.store()).unwrap();
    assert_eq!(tracker.file_count().unwrap(), 189);
    assert_eq!(tracker.embedded_file_count().unwrap(), 0);
    assert!(tracker.get_context_stats().unwrap().is_empty());
}

/// Runs a migration that must fail, and checks that it left nothing.
fn refused(place: &Place, database: &Path) -> MigrateError {
    let before = std::fs::read(database).ok();
    let error = place.migrate(database).unwrap_err();
    assert!(!place.store().exists(), "{error} left a store");
    assert_eq!(std::fs::read(database).ok(), before, "{error} changed the source");
    error
}

#[test]
fn what_is_not_a_filetracker_database_is_refused_and_nothing_is_left() {
    let place = Place::new();
    let file = place.path("bad.db");
    assert!(matches!(refused(&place, &file), MigrateError::Source { .. }));
    for garbage in [&b""[..], b"not a database", &[0x5a; 8192]] {
        std::fs::write(&file, garbage).unwrap();
        assert!(matches!(refused(&place, &file), MigrateError::NotSqlite(_)));
    }
    let good = std::fs::read(&small().database).unwrap();
    std::fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert!(matches!(refused(&place, &file), MigrateError::Truncated { .. }));
    let mut damaged = good.clone();
    damaged[100..4096].fill(0xaa);
    std::fs::write(&file, damaged).unwrap();
    let error = refused(&place, &file);
    assert!(matches!(error, MigrateError::Damaged { .. }), "{error:?}");

    let database = place.database();
    change(&database, "DROP TABLE thread_tools");
    assert!(
        matches!(refused(&place, &database), MigrateError::MissingTables { ref tables, .. } if tables == "thread_tools")
    );
    let database = place.database();
    change(&database, "CREATE TABLE notes (x); ALTER TABLE files ADD COLUMN owner TEXT");
    let error = refused(&place, &database);
    assert!(
        matches!(error, MigrateError::Extra { ref what, .. } if what == "table notes, column files.owner"),
        "{error}"
    );
    let database = place.database();
    change(&database, "ALTER TABLE files DROP COLUMN content_hash");
    assert!(matches!(refused(&place, &database), MigrateError::MissingColumn { column: "content_hash", .. }));

    let database = place.database();
    let lock = Connection::open(&database).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(refused(&place, &database), MigrateError::Locked(_)));
}

#[test]
fn tolerance_is_asked_for() {
    let place = Place::new();
    let database = place.database();
    change(&database, "DROP TABLE thread_tools; CREATE TABLE notes (x)");
    place.migration(&database).allow_missing(true).ignore_extra(true).run().unwrap();
}

#[test]
fn a_store_with_records_is_replaced_only_on_demand() {
    let place = Place::new();
    let database = place.database();
    {
        let mut tracker = Tracker::open(place.store()).unwrap();
        tracker.set_metadata("mine", "1").unwrap();
    }
    assert!(matches!(place.migrate(&database), Err(MigrateError::NotEmpty(_))));
    assert!(matches!(
        place.migration(&database).existing(Existing::Resume).run(),
        Err(MigrateError::NothingToResume(_))
    ));
    assert_eq!(Tracker::open(place.store()).unwrap().get_metadata("mine").unwrap().as_deref(), Some("1"));
    place.migration(&database).existing(Existing::Replace).run().unwrap();
    let mut tracker = Tracker::open(place.store()).unwrap();
    assert_eq!((tracker.file_count().unwrap(), tracker.get_metadata("mine").unwrap()), (189, None));
}

#[test]
fn an_existing_backup_is_not_overwritten() {
    let place = Place::new();
    let database = place.database();
    let backup = place.path("source.db.bak");
    std::fs::write(&backup, "precious").unwrap();
    let migration = Migration::new(&database, place.store(), Tracker::options(place.store()));
    assert!(matches!(migration.run(), Err(MigrateError::BackupExists(_))));
    assert_eq!(std::fs::read_to_string(backup).unwrap(), "precious");
    assert!(!place.store().exists());
}

#[test]
fn an_interrupted_migration_says_so_and_can_be_resumed_or_started_over() {
    for steps in 0..30 {
        let place = Place::new();
        let database = place.database();
        let left = Cell::new(steps);
        let interrupted =
            place.migration(&database).interrupted(move || left.replace(left.get().max(1) - 1) == 0).run();
        if let Ok(summary) = interrupted {
            assert!(steps > 10, "nothing was interrupted");
            assert_eq!(summary.rejected(), 1);
            return;
        }
        assert!(matches!(interrupted, Err(MigrateError::Interrupted)), "{interrupted:?}");
        assert!(Tracker::open(place.store()).unwrap().get_import_state().unwrap().is_some());
        assert!(matches!(place.migrate(&database), Err(MigrateError::Unfinished { .. })));
        let existing = if steps % 2 == 0 { Existing::Resume } else { Existing::Replace };
        let summary = place.migration(&database).existing(existing).run().unwrap();
        assert_eq!((summary.migrated(), summary.rejected()), (2925, 1));
        let rejects = std::fs::read_to_string(summary.rejects_file.unwrap()).unwrap();
        assert_eq!(rejects.lines().count(), 1);
        assert_eq!(Tracker::open(place.store()).unwrap().verify().unwrap().errors, 0);
    }
}

#[test]
fn a_migration_is_not_resumed_with_another_database() {
    let place = Place::new();
    let database = place.database();
    let calls = Cell::new(5);
    let interrupted = move || calls.replace(calls.get().max(1) - 1) == 0;
    assert!(place.migration(&database).interrupted(interrupted).run().is_err());
    change(&database, "INSERT INTO metadata VALUES ('new', 'row')");
    let resumed = place.migration(&database).existing(Existing::Resume).run();
    assert!(matches!(resumed, Err(MigrateError::OtherSource { .. })), "{resumed:?}");
}

#[test]
fn exported_rows_imported_elsewhere_are_the_same_rows() {
    let fixture = large().unwrap_or_else(small);
    for fixture in [fixture, small()] {
        let mut source = fixture.tracker();
        let mut copy = crate::support::fresh();
        for kind in tracker_host::types::ROW_KINDS {
            let rows: Vec<_> = source.rows(kind, 3000).map(Result::unwrap).collect();
            for chunk in rows.chunks(3000) {
                copy.tracker.import_rows(chunk).unwrap();
            }
            let back: Vec<_> = copy.tracker.rows(kind, 777).map(Result::unwrap).collect();
            assert!(back == rows, "{kind:?}");
        }
        assert_eq!(copy.tracker.verify().unwrap().errors, 0);
    }
}
