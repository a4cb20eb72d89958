//! LMDB's own tools, as Debian's lmdb-utils has them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tracker_host::Tracker;
use tracker_host::store::lmdb::OpenError;

use super::{Session, rows};
use crate::support::{self, small};

fn tool<S: AsRef<std::ffi::OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(name).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// False, and says so, if the tools are not there.
fn present() -> bool {
    let all = ["mdb_stat", "mdb_dump", "mdb_copy", "mdb_load"];
    let found = all.iter().all(|name| Command::new(name).arg("-V").output().is_ok());
    support::present("mdb_stat", found, "tests/setup.sh installs lmdb-utils")
}

fn printed(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    str::from_utf8(&output.stdout).unwrap()
}

/// The number behind a label.
fn figure(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_else(|| panic!("{text}"));
    line.trim_start_matches(':').trim().parse().unwrap()
}

#[test]
fn mdb_stat_says_what_our_figures_say() {
    if !present() {
        return;
    }
    let (_dir, store) = small().copy();
    let mut tracker = Tracker::open(&store).unwrap();
    tracker.clear_pattern_caches().unwrap();
    tracker.delete_symbols("/home/dev/project/src/a").unwrap();
    let stats = tracker.environment_stats().unwrap();
    drop(tracker);
    let output = tool("mdb_stat", ["-ef".as_ref(), store.as_os_str()]);
    let text = printed(&output);
    assert!(stats.free_pages.unwrap() > 0);
    assert_eq!(Some(figure(text, "Free pages")), stats.free_pages);
    assert_eq!(figure(text, "Number of pages used"), stats.last_pgno + 1);
    assert_eq!(figure(text, "Last transaction ID"), stats.last_txnid);
    assert_eq!(figure(text, "Page size"), stats.page_size);
    for table in &stats.tables {
        let output = tool("mdb_stat", ["-s".as_ref(), table.name.as_ref(), store.as_os_str()]);
        let (_, text) = printed(&output).split_once(&format!("Status of {}", table.name)).unwrap();
        assert_eq!(figure(text, "Entries"), table.entries, "{}", table.name);
        let pages = ["Branch pages", "Leaf pages", "Overflow pages"].map(|label| figure(text, label));
        assert_eq!(pages.iter().sum::<u64>(), table.pages, "{}", table.name);
    }
}

fn is_whole(copy: &Path) {
    assert!(rows(copy) == rows(&small().store));
    assert_eq!(Tracker::open(copy).unwrap().verify().unwrap().errors, 0);
}

#[test]
fn mdb_copy_and_mdb_dump_make_whole_copies() {
    if !present() {
        return;
    }
    let (dir, store) = small().copy();
    for (name, options) in [("plain", &[][..]), ("compact", &["-c"][..])] {
        let copy = dir.path().join(name);
        std::fs::create_dir(&copy).unwrap();
        let paths = [store.to_str().unwrap(), copy.to_str().unwrap()];
        printed(&tool("mdb_copy", [options, &paths[..]].concat()));
        is_whole(&copy);
    }
    let (dump, loaded) = (dir.path().join("dump"), dir.path().join("loaded"));
    printed(&tool("mdb_dump", ["-a".as_ref(), "-f".as_ref(), dump.as_os_str(), store.as_os_str()]));
    std::fs::create_dir(&loaded).unwrap();
    printed(&tool("mdb_load", ["-f".as_ref(), dump.as_os_str(), loaded.as_os_str()]));
    is_whole(&loaded);
}

#[test]
fn our_backup_is_one_for_the_tools_too() {
    if !present() {
        return;
    }
    let (dir, store) = small().copy();
    let backup = dir.path().join("backup");
    Tracker::open(&store).unwrap().backup(&backup).unwrap();
    let text = tool("mdb_stat", ["-f".as_ref(), backup.as_os_str()]);
    assert_eq!(figure(printed(&text), "Free pages"), 0);
    let dump = tool("mdb_dump", ["-s".as_ref(), "files".as_ref(), backup.as_os_str()]);
    let lines = printed(&dump).lines().filter(|line| line.starts_with(' ')).count();
    assert_eq!(lines as u64, 2 * Tracker::open(&store).unwrap().file_count().unwrap());
}

/// Debian's LMDB and ours lay out the lock file in different ways: each refuses
/// a store that the other has open, and nothing comes of it.
#[test]
fn a_tool_of_another_version_and_we_take_turns() {
    if !present() {
        return;
    }
    let (_dir, store) = small().copy();
    let mut session = Session::new(&store);
    // Whether it is refused depends on the version of the tool.
    let beside = tool("mdb_stat", ["-e".as_ref(), store.as_os_str()]);
    assert_eq!(session.call("set-metadata(\"a\", \"1\")"), "ok", "{beside:?}");
    drop(session);
    // It has the store open until somebody reads what it prints.
    let mut dump = Command::new("mdb_dump").arg("-a").arg(&store).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    std::io::Read::read_exact(dump.stdout.as_mut().unwrap(), &mut first).unwrap();
    match Tracker::open(&store) {
        Ok(_) => assert!(beside.status.success(), "it shares the store one way and not the other"),
        Err(tracker_host::Error::Open(error @ OpenError::OtherLmdb(_))) => {
            assert!(error.to_string().contains("another version of LMDB"));
            assert!(!beside.status.success());
        }
        Err(error) => panic!("{error}"),
    }
    dump.kill().unwrap();
    dump.wait().unwrap();
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("1"));
    assert_eq!(tracker.verify().unwrap().errors, 0);
}
