"""Giving free pages back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import Open, host, python_environment, verified

from tracker_store import FileTracker


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


@pytest.mark.parametrize("engine", ["wasmtime"])
def test_a_reader_that_was_waiting_finds_the_new_file(engine: str, tmp_path: Path) -> None:
    """Transaction numbers start again in a compact copy: a lock file that was not set up anew would hide it."""
    store = tmp_path / "store"
    tracker = FileTracker(store, durability="no-sync")
    fill(tracker)
    assert tracker.get_db_stats()["last_txnid"] > 5
    assert tracker.compact(force=True)["success"]
    tracker.set_metadata("after", "1")
    with FileTracker(store, durability="no-sync") as beside:
        assert beside.get_metadata("after") == "1"
    tracker.close()
    verified(store)
