"""Giving free pages back."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import Open, host, python_environment, verified

from tracker_store import FileTracker, _compact


def fill(tracker: FileTracker) -> None:
    """4 MB, of which little stays."""
    for part in range(4):
        with tracker.batch():
            for number in range(100):
                tracker.set_metadata(f"{part} {number}", "v" * 10_000)
    for part in range(3):
        with tracker.batch():
            for number in range(100):
                tracker.set_metadata(f"{part} {number}", "")


def test_free_pages_are_given_back_and_nothing_else_changes(engine: str, opened: Open, tmp_path: Path) -> None:
    store = tmp_path / "store"
    tracker = opened(store)
    fill(tracker)
    (store / "data.mdb").chmod(0o640)
    done = tracker.compact()
    assert (done["success"], done["skipped"]) == (True, False)
    assert done["bytes_before"] > 4 << 20
    assert done["bytes_reclaimed"] == done["bytes_before"] - done["bytes_after"] > 2 << 20
    assert (store / "data.mdb").stat().st_size == done["bytes_after"]
    assert (store / "data.mdb").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in store.iterdir()) == ["data.mdb", "lock.mdb"]
    assert tracker.get_metadata("3 99") == "v" * 10_000
    again = tracker.compact()
    assert (again["success"], again["skipped"], again["bytes_reclaimed"]) == (True, True, 0)
    assert "free" in again["reason"]
    assert tracker.compact(force=True)["success"]
    tracker.set_metadata("after", "1")
    tracker.close()
    assert verified(store)["records"] == 401
    assert host("call", store, 'get-metadata("after")') == 'some("1")\n'


def test_a_store_that_somebody_has_open_is_left_alone(engine: str, opened: Open, tmp_path: Path) -> None:
    store = tmp_path / "store"
    tracker, beside = opened(store), opened(store)
    fill(tracker)
    assert beside.get_metadata("3 1") is not None
    before = (store / "data.mdb").read_bytes()
    refused = tracker.compact()
    assert not refused["success"]
    assert "open" in refused["error"]
    with tracker.batch():
        assert "batch" in tracker.compact(force=True)["error"]
    beside.close()
    assert (store / "data.mdb").read_bytes() == before
    assert tracker.compact()["success"]


HOLDER = """
import sys
from tracker_store import FileTracker
with FileTracker(sys.argv[1], durability="no-sync") as tracker:
    tracker.set_metadata("theirs", "1")
    print("open", flush=True)
    sys.stdin.read()
    tracker.set_metadata("theirs", "2")
"""


def test_another_process_that_has_it_open_is_noticed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-c", HOLDER, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=python_environment()) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        with FileTracker(store, durability="no-sync") as tracker:
            fill(tracker)
            refused = tracker.compact()
            assert not refused["success"]
            assert "another program" in refused["error"]
            # Its own way out of the store has not let anybody in.
            other.stdin.close()
            assert other.wait() == 0
            assert tracker.get_metadata("theirs") == "2"
            assert tracker.compact()["success"]
    verified(store)


WAITER = """
import sys
from tracker_store import FileTracker
print("waiting", flush=True)
with FileTracker(sys.argv[1], durability="no-sync") as tracker:
    print(tracker.call("count-rows", "metadata"), flush=True)
    tracker.set_metadata("theirs", "1")
"""


def blocked(process: int) -> bool:
    """True while a process waits for a lock on a file."""
    return any("->" in line and f" {process} " in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell who waits for a lock")
def test_who_waits_for_the_store_meanwhile_finds_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions are numbered anew in a compact copy; a lock file of the old numbers would show half of the commits."""
    store = tmp_path / "store"
    tracker = FileTracker(store, durability="no-sync")
    fill(tracker)
    while tracker.get_db_stats()["last_txnid"] % 2:
        tracker.set_metadata("even", str(tracker.get_db_stats()["last_txnid"]))
    rows = tracker.call("count-rows", "metadata")
    tracker.close()
    waiting: list[subprocess.Popen[bytes]] = []
    sync = _compact._sync

    def late(folder: Path) -> None:
        command = [sys.executable, "-c", WAITER, str(store)]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, env=python_environment())
        waiting.append(other)
        assert other.stdout is not None
        assert other.stdout.readline() == b"waiting\n"
        while not blocked(other.pid):
            assert other.poll() is None
            time.sleep(0.05)
        sync(folder)

    monkeypatch.setattr(_compact, "_sync", late)
    # Not through the tracker, which would open the store again at once, and set the lock file up if it is first.
    _compact.compact(store)
    (other,) = waiting
    answer, _ = other.communicate()
    assert (answer, other.returncode) == (b"%d\n" % rows, 0)
    assert tracker.get_metadata("theirs") == "1"
    tracker.close()
    verified(store)
