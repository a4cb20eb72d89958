//! Bad surroundings: full disks, forbidden directories, odd names, others at work.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tracker_host::{Error, Tracker};

use super::load::{self, State};
use crate::support::{present, small};

fn host(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    host(arguments).output().unwrap()
}

fn done(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that a failed command prints.
fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// A file system of so many kilobytes.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// None, and it says so, where that is not allowed.
    fn new(kilobytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={kilobytes}k,mode=0777");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk { dir });
        }
        eprintln!("SKIPPED: a small file system cannot be mounted here (as root: mount -t tmpfs)");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Takes all that is left but for so many bytes.
    fn fill(&self, left: u64) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.path("filler")).unwrap();
        let mut size = 0;
        while file.write_all(&[0; 4096]).is_ok() {
            size += 4096;
        }
        file.set_len(u64::saturating_sub(size, left)).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

#[test]
fn a_commit_without_room_on_the_disk_is_undone_and_with_room_it_goes_on() {
    let Some(disk) = SmallDisk::new(3072) else { return };
    // Left: nothing, a part of a page, some pages.
    for (round, left) in [0, 2000, 40_000, 300_000].into_iter().enumerate() {
        let store = disk.path(&format!("store{round}"));
        let mut tracker = Tracker::open(&store).unwrap();
        let mut n = 0;
        for _ in 0..10 {
            n += 1;
            load::commit(&mut tracker, 0, n).unwrap();
        }
        disk.fill(left);
        let failed = loop {
            match load::commit(&mut tracker, 0, n + 1) {
                Ok(()) => n += 1,
                Err(error) => break error,
            }
            assert!(n < 500, "it never is full");
        };
        assert!(matches!(&failed, Error::Store(why) if why.contains("no room on the disk")), "{failed:?}");
        // In the same session everything is there that was, and reads go on.
        assert_eq!(State::read(&mut tracker, 0).unwrap(), State::after(0, n));
        assert_eq!(tracker.verify().unwrap().errors, 0);
        disk.make_room();
        for _ in 0..5 {
            n += 1;
            load::commit(&mut tracker, 0, n).unwrap();
        }
        drop(tracker);
        let mut tracker = Tracker::options(&store).check_pages(true).open().unwrap();
        assert_eq!(State::read(&mut tracker, 0).unwrap(), State::after(0, n));
        assert_eq!(tracker.verify().unwrap().errors, 0);
        drop(tracker);
        std::fs::remove_dir_all(&store).unwrap();
    }
}

#[test]
fn what_finds_no_room_on_the_disk_says_so_and_leaves_nothing_half() {
    let Some(disk) = SmallDisk::new(4096) else { return };
    let (_dir, store) = small().copy();
    let (backup, lines, database) = (disk.path("backup"), disk.path("lines.jsonl"), disk.path("rollback.db"));
    let (target, copy) = (disk.path("target"), disk.path("source.bak"));
    let source = text(&small().database);
    disk.fill(200_000);
    for arguments in [
        &["backup", text(&store), text(&backup)][..],
        &["restore", text(&store), text(&backup)],
        &["export", text(&store), "-o", text(&lines)],
        &["export", "--sqlite", text(&store), text(&database)],
        &["migrate", source, text(&store.join("../new")), "--backup", text(&copy)],
    ] {
        let message = error(&run(arguments));
        let says = ["No space left", "no room", "disk is full", "make room"].iter().any(|word| message.contains(word));
        assert!(says, "{arguments:?}: {message}");
        assert_eq!(names(disk.dir.path()), ["filler"], "{arguments:?}");
    }
    // A migration keeps what it has, and goes on when there is room.
    let message = error(&run(&["migrate", source, text(&target), "--no-backup"]));
    assert!(message.contains("no room on the disk"), "{message}");
    disk.make_room();
    let mut tracker = Tracker::open(&target).unwrap();
    let begun = tracker.get_import_state().unwrap().is_some();
    assert_eq!(tracker.verify().unwrap().errors, 0);
    drop(tracker);
    let again: &[&str] = if begun { &["--resume"] } else { &[] };
    done(&[&["migrate", source, text(&target), "--no-backup"], again].concat(), 3);
    let files = |store: &Path| Tracker::open(store).unwrap().file_count().unwrap();
    assert_eq!(files(&target), files(&store));
    // A store is compacted beside itself: without room it stays as it is.
    disk.fill(100_000);
    let before = std::fs::read(target.join("data.mdb")).unwrap();
    let message = error(&run(&["compact", text(&target)]));
    assert!(message.contains("No space left") || message.contains("no room"), "{message}");
    assert!(std::fs::read(target.join("data.mdb")).unwrap() == before);
    assert_eq!(names(&target), ["data.mdb", "lock.mdb"]);
}

#[test]
fn a_limit_of_the_length_of_files_is_an_error_and_not_the_end_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let host = env!("CARGO_BIN_EXE_host");
    let limited = |kilobytes: u32, arguments: &[&str]| {
        let script = format!("ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
        Command::new("bash").args(["-c", &script, host]).args(arguments).output().unwrap()
    };
    let store = path("store");
    let mut tracker = Tracker::open(&store).unwrap();
    for n in 1..=20 {
        load::commit(&mut tracker, 0, n).unwrap();
    }
    drop(tracker);
    let length = std::fs::metadata(store.join("data.mdb")).unwrap().len() as u32 / 1024;
    let text_of_100_000 = "x".repeat(100_000);
    let large: Vec<_> = (0..9).map(|n| format!("set-metadata(\"large{n}\", \"{text_of_100_000}\")")).collect();
    let calls: Vec<_> = large.iter().map(String::as_str).collect();
    // At the limit, and where a write is cut short by it.
    for kilobytes in [length, length + 3, length + 101] {
        let message =
            error(&limited(kilobytes, &[&["call", text(&store), "begin-batch()"], &*calls, &["end-batch()"]].concat()));
        assert!(message.contains("no room on the disk"), "{message}");
    }
    for arguments in [
        &["backup", text(&store), text(&path("backup"))][..],
        &["export", text(&store), "-o", text(&path("lines"))],
        &["export", "--sqlite", text(&store), text(&path("database"))],
        &["migrate", text(&small().database), text(&path("new")), "--backup", text(&path("copy"))],
    ] {
        error(&limited(40, arguments));
        assert_eq!(names(dir.path()), ["store"], "{arguments:?}");
    }
    let mut tracker = Tracker::options(&store).check_pages(true).open().unwrap();
    assert_eq!(State::read(&mut tracker, 0).unwrap(), State::after(0, 20));
    load::commit(&mut tracker, 0, 21).unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

const NOBODY: u32 = 65534;

/// The command as a user who may nothing.
struct Stranger {
    dir: TempDir,
}

impl Stranger {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = dir.path().join("host");
        std::fs::copy(env!("CARGO_BIN_EXE_host"), &host).unwrap();
        std::fs::set_permissions(&host, std::fs::Permissions::from_mode(0o755)).unwrap();
        let cache = dir.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        if is_root() {
            std::os::unix::fs::chown(cache, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Stranger { dir }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.dir.path().join("host"));
        command.args(arguments).stdin(Stdio::null()).current_dir("/");
        command.env("HOME", "/nonexistent").env("XDG_CACHE_HOME", self.dir.path().join("cache"));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_forbidden_is_said_in_one_line_and_changes_nothing() {
    let stranger = Stranger::new();
    let place = stranger.dir.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let store = place.join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::copy(small().store.join("data.mdb"), store.join("data.mdb")).unwrap();
    let data = std::fs::read(store.join("data.mdb")).unwrap();
    let forbidden = |arguments: &[&str]| {
        let message = error(&stranger.run(arguments));
        assert!(message.contains("ermission denied"), "{arguments:?}: {message}");
    };
    // For reading: everything is readable, nothing can be written.
    set_mode(&store.join("data.mdb"), 0o444);
    set_mode(&store, 0o555);
    set_mode(&place, 0o555);
    let reading = stranger.run(&["call", text(&store), "file-count()", "--read-only"]);
    assert_eq!((reading.status.code(), &*reading.stdout), (Some(0), &b"189\n"[..]), "{reading:?}");
    assert_eq!(stranger.run(&["verify", text(&store), "--read-only"]).status.code(), Some(0));
    forbidden(&["call", text(&store), "set-metadata(\"a\", \"1\")"]);
    forbidden(&["track", text(&place.join("new")), "/etc/ssl"]);
    forbidden(&["backup", text(&store), text(&place.join("backup")), "--read-only"]);
    forbidden(&["export", text(&store), "-o", text(&place.join("lines")), "--read-only"]);
    forbidden(&["compact", text(&store)]);
    assert_eq!((names(&store), names(&place)), (vec!["data.mdb".to_owned()], vec!["store".to_owned()]));
    // A file, or the directory, that may not be read.
    set_mode(&store.join("data.mdb"), 0o000);
    forbidden(&["call", text(&store), "file-count()", "--read-only"]);
    set_mode(&store.join("data.mdb"), 0o444);
    set_mode(&store, 0o000);
    forbidden(&["call", text(&store), "file-count()", "--read-only"]);
    forbidden(&["verify", text(&store)]);
    set_mode(&store, 0o755);
    set_mode(&place, 0o755);
    assert!(std::fs::read(store.join("data.mdb")).unwrap() == data);
}

#[test]
fn reading_only_creates_nothing_whatever_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::copy(small().store.join("data.mdb"), store.join("data.mdb")).unwrap();
    let before = std::fs::metadata(store.join("data.mdb")).unwrap().modified().unwrap();
    let store_text = text(&store);
    done(&["call", store_text, "file-count()", "--read-only"], 0);
    done(&["stats", store_text, "--read-only"], 0);
    done(&["verify", store_text, "--read-only"], 0);
    done(&["export", store_text, "--read-only"], 0);
    assert!(error(&run(&["call", store_text, "set-metadata(\"a\", \"1\")", "--read-only"])).contains("reading only"));
    error(&run(&["reindex", store_text, "--read-only"]));
    let missing = dir.path().join("missing");
    for arguments in [
        &["call", text(&missing), "file-count()", "--read-only"][..],
        &["call", text(&missing), "file-count()", "--read-only", "--create"],
        &["stats", text(&missing), "--read-only"],
        &["track", text(&missing), ".", "--read-only"],
        &["verify", text(&missing), "--read-only"],
    ] {
        assert!(error(&run(arguments)).contains("there is no store"), "{arguments:?}");
    }
    assert_eq!((names(&store), names(dir.path())), (vec!["data.mdb".to_owned()], vec!["store".to_owned()]));
    assert_eq!(std::fs::metadata(store.join("data.mdb")).unwrap().modified().unwrap(), before);
}

#[test]
fn a_lost_lock_file_is_made_again_and_nothing_else_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    load::commit(&mut Tracker::open(&store).unwrap(), 0, 1).unwrap();
    std::fs::remove_file(store.join("lock.mdb")).unwrap();
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(State::read(&mut tracker, 0).unwrap(), State::after(0, 1));
    load::commit(&mut tracker, 0, 2).unwrap();
    drop(tracker);
    // One that is not LMDB's, or empty.
    for junk in [&b"junk"[..], b""] {
        std::fs::write(store.join("lock.mdb"), junk).unwrap();
        let mut tracker = Tracker::open(&store).unwrap();
        assert_eq!(State::read(&mut tracker, 0).unwrap(), State::after(0, 2));
    }
    assert_eq!(names(&store), ["data.mdb", "lock.mdb"]);
}

#[test]
fn a_path_with_spaces_quotes_and_other_scripts_is_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("my \"stores\" – größe 数据 'x' $HOME #1");
    let path = |name: &str| place.join(name);
    let database = path("an old db é.db");
    std::fs::create_dir(&place).unwrap();
    std::fs::copy(&small().database, &database).unwrap();
    let (store, backup, lines) = (path("the store ✓"), path("back up"), path("lines – 1.jsonl"));
    done(&["migrate", text(&database), text(&store)], 3);
    assert!(path("an old db é.db.bak").exists() && path("the store ✓.rejects.jsonl").exists());
    let counted = done(&["call", text(&store), "file-count()"], 0);
    done(&["backup", text(&store), text(&backup)], 0);
    done(&["restore", text(&backup), text(&store), "--replace"], 0);
    done(&["compact", text(&store)], 0);
    done(&["export", text(&store), "-o", text(&lines)], 0);
    done(&["import", text(&path("imported 2")), text(&lines)], 0);
    done(&["export", "--sqlite", text(&store), text(&path("roll back.db"))], 0);
    done(&["compare", text(&database), text(&store)], 0);
    done(&["track", text(&path("tracked 3")), text(&place)], 0);
    for name in ["the store ✓", "imported 2", "back up"] {
        done(&["verify", text(&path(name))], 0);
        assert_eq!(done(&["call", text(&path(name)), "file-count()"], 0), counted);
    }
}

#[test]
fn whatever_is_created_is_private_whatever_the_mask() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (source, host) = (text(&small().database), env!("CARGO_BIN_EXE_host"));
    let script = "umask 0; \"$0\" \"$@\"";
    let open_handed = |arguments: &[&str]| {
        let output = Command::new("bash").args(["-c", script, host]).args(arguments).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {output:?}");
    };
    let store = path("store");
    open_handed(&["migrate", source, &store, "--backup", &path("source.bak")]);
    open_handed(&["backup", &store, &path("backup")]);
    open_handed(&["restore", &path("backup"), &path("restored")]);
    open_handed(&["compact", &store]);
    open_handed(&["export", &store, "-o", &path("lines.jsonl")]);
    open_handed(&["export", "--sqlite", &store, &path("rollback.db")]);
    open_handed(&["import", &path("imported"), &path("lines.jsonl")]);
    let mut seen = 0;
    for entry in ignore::WalkBuilder::new(dir.path()).standard_filters(false).build().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            seen += 1;
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn of_two_migrations_into_one_store_one_is_refused_and_the_other_is_whole() {
    let source = text(&small().database);
    let mut refused = 0;
    for round in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        // Whether or not it is there already.
        if round % 2 == 0 {
            drop(Tracker::open(&store).unwrap());
        }
        let force: &[&str] = if round == 3 { &["--force"] } else { &[] };
        let start = || {
            let mut command = host(&[&["migrate", source, text(&store), "--no-backup"], force].concat());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = [start(), start(), start()];
        let outputs = children.map(|child| child.wait_with_output().unwrap());
        let whole = outputs.iter().filter(|output| output.status.code() == Some(3)).count();
        assert!(whole == 1 || !force.is_empty() && whole >= 1, "{outputs:#?}");
        for output in outputs.iter().filter(|output| output.status.code() != Some(3)) {
            let message = error(output);
            let clear = ["another process is migrating into", "holds records already"];
            assert!(clear.iter().any(|clear| message.contains(clear)), "{message}");
            refused += 1;
        }
        let mut tracker = Tracker::options(&store).check_pages(true).open().unwrap();
        assert_eq!(tracker.get_import_state().unwrap(), None);
        assert_eq!((tracker.file_count().unwrap(), tracker.verify().unwrap().errors), (189, 0));
    }
    assert!(refused > 0);
}

#[test]
fn a_migration_does_not_replace_a_store_that_somebody_has_open() {
    let (_dir, store) = small().copy();
    let mut session = crate::operations::Session::new(&store);
    let message = error(&run(&["migrate", text(&small().database), text(&store), "--no-backup", "--force"]));
    assert!(message.contains("is open in another program"), "{message}");
    assert_eq!(session.call("set-metadata(\"still\", \"here\")"), "ok");
    drop(session);
    assert_eq!(Tracker::open(&store).unwrap().get_metadata("still").unwrap().as_deref(), Some("here"));
}

#[test]
fn a_closed_pipe_prints_nothing_and_is_no_error() {
    let (dir, store) = small().copy();
    let database = dir.path().join("small.db");
    std::fs::copy(&small().database, &database).unwrap();
    if !present("bash", Path::new("/bin/bash").exists(), "apt-get install bash") {
        return;
    }
    let new = dir.path().join("new");
    for arguments in [
        &["call", text(&store), "list-files(none, 1000)", "list-files(none, 1000)", "list-files(none, 1000)"][..],
        &["export", text(&store)],
        &["stats", text(&store)],
        &["verify", text(&store), "--warnings"],
        &["call", text(&store), "--list"],
        &["migrate", text(&database), text(&new), "--no-backup"],
        &["man"],
        &["completions", "bash"],
    ] {
        let mut child = host(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stderr, b"", "{arguments:?}: {output:?}");
        assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {output:?}");
    }
    // Nobody looked, and it was done all the same.
    assert_eq!(Tracker::open(&new).unwrap().file_count().unwrap(), 189);
}
