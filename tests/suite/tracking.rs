//! `track`: which files are recorded, which are dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracker_host::Tracker;
use tracker_host::track::{TrackSummary, track};

struct Tree {
    dir: tempfile::TempDir,
    tracker: Tracker,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        let tracker = Tracker::open(dir.path().join("store")).unwrap();
        let tree = Tree { dir, tracker };
        for name in ["a.rs", "b.rs", "c.rs"] {
            tree.write(name, "fn main() {}");
        }
        tree
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("src").join(name)
    }
    /// Writes a file that was last modified long ago.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        age(&path, 3600);
    }
    fn track(&mut self) -> TrackSummary {
        let root = self.path("");
        track(&mut self.tracker, &root, |_| {}, || false).unwrap()
    }
}

fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn figures(summary: &TrackSummary) -> [u64; 5] {
    [summary.added, summary.changed, summary.touched, summary.removed, summary.unchanged]
}

#[test]
fn only_what_was_added_edited_touched_or_deleted_is_handled() {
    let mut tree = Tree::new();
    assert_eq!(figures(&tree.track()), [3, 0, 0, 0, 0]);
    assert_eq!(figures(&tree.track()), [0, 0, 0, 0, 3]);
    age(&tree.path("a.rs"), 1800);
    tree.write("b.rs", "fn main() { edited() }");
    fs::remove_file(tree.path("c.rs")).unwrap();
    tree.write("d.rs", "new");
    assert_eq!(figures(&tree.track()), [1, 1, 1, 1, 0]);
    assert_eq!(figures(&tree.track()), [0, 0, 0, 0, 3]);
    assert!(tree.tracker.get_file(tree.path("c.rs").to_str().unwrap()).unwrap().is_none());
}

#[test]
fn an_edit_that_keeps_the_size_and_sets_the_time_back_is_found() {
    let mut tree = Tree::new();
    tree.track();
    fs::write(tree.path("a.rs"), "fn niam() {}").unwrap();
    age(&tree.path("a.rs"), 7200);
    assert_eq!(figures(&tree.track()), [0, 1, 0, 0, 2]);
}

#[test]
fn an_edit_in_the_same_tick_as_the_indexing_is_found() {
    let mut tree = Tree::new();
    let path = tree.path("a.rs");
    fs::write(&path, "fn main() {1}").unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    tree.track();
    fs::write(&path, "fn main() {2}").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(figures(&tree.track()), [0, 1, 0, 0, 2]);
}

#[test]
fn ignored_files_are_left_out_and_dropped_when_they_become_ignored() {
    let mut tree = Tree::new();
    tree.write(".gitignore", "*.log\n/build/\n");
    tree.write("x.log", "x");
    tree.write("build/out", "x");
    tree.write(".git/config", "x");
    tree.write(".hidden", "x");
    assert_eq!(figures(&tree.track()), [5, 0, 0, 0, 0]);
    tree.write(".gitignore", "*.log\n/build/\nc.rs\n");
    assert_eq!(figures(&tree.track()), [0, 1, 0, 1, 3]);
}

#[test]
fn files_outside_the_directory_stay() {
    let mut tree = Tree::new();
    tree.tracker.upsert_file("/elsewhere/x", 1.0, 1, "h", 0, 1, 1, &[]).unwrap();
    let beside = format!("{}-2/x", tree.path("").to_str().unwrap().trim_end_matches('/'));
    tree.tracker.upsert_file(&beside, 1.0, 1, "h", 0, 1, 1, &[]).unwrap();
    tree.track();
    assert_eq!(tree.tracker.file_count().unwrap(), 5);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_reported() {
    use std::os::unix::ffi::OsStrExt;
    let mut tree = Tree::new();
    fs::write(tree.path("").join(std::ffi::OsStr::from_bytes(b"bad\xff.rs")), "x").unwrap();
    let summary = tree.track();
    assert_eq!((summary.added, summary.skipped.len()), (3, 1));
    assert!(summary.skipped[0].reason.contains("UTF-8"));
}

#[cfg(unix)]
#[test]
fn unreadable_files_and_directories_are_reported_and_their_records_stay() {
    use std::os::unix::fs::PermissionsExt;
    let mut tree = Tree::new();
    tree.write("locked/inner.rs", "x");
    tree.track();
    let (file, directory) = (tree.path("a.rs"), tree.path("locked"));
    age(&file, 10);
    for (path, mode) in [(&file, 0o000), (&directory, 0o000)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    // The superuser reads everything.
    if fs::read(&file).is_err() {
        let summary = tree.track();
        assert_eq!((summary.skipped.len(), summary.removed), (2, 0), "{summary:?}");
        assert_eq!(tree.tracker.file_count().unwrap(), 4);
    }
    for (path, mode) in [(&file, 0o600), (&directory, 0o700)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_changed_file_keeps_what_only_its_indexer_knows() {
    let mut tree = Tree::new();
    tree.track();
    let path = tree.path("a.rs").to_str().unwrap().to_owned();
    tree.tracker.upsert_file(&path, 1.0, 1, "h", 100, 7, 42, &["context:cli".into()]).unwrap();
    tree.track();
    let file = tree.tracker.get_file(&path).unwrap().unwrap();
    assert_eq!((file.key_hash, file.blob_offset, file.detected_contexts.len()), (42, 100, 1));
    assert_eq!(file.content_hash.len(), 64);
}
