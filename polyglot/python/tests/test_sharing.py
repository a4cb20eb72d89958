"""Who may use a store at once: threads, processes, the native host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import DATA, HOST, LONG, Open, figure, host, python_environment, run_python, verified

from tracker_store import FileTracker, OpenError, TrackerError
from tracker_store._component import runtime
from tracker_store._values import Enum
from tracker_store._wasm import WasmEngine

ROW_KINDS = runtime().functions["count-rows"][0][0][1]


def rows(tracker: FileTracker) -> dict[str, list[Any]]:
    """Every row of a store."""
    assert isinstance(ROW_KINDS, Enum)
    found: dict[str, list[Any]] = {}
    for kind in ROW_KINDS.cases:
        found[kind] = []
        after = None
        while True:
            page = tracker.call("export-rows", kind, after, 500)
            found[kind] += page["items"]
            after = page["next"]
            if after is None:
                break
    return found


def in_threads(number: int, run: Callable[[int], None]) -> None:
    """Runs something in so many threads at once; what one of them raises is raised."""
    raised: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            run(index)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if raised:
        raise raised[0]


def test_threads_take_turns_on_a_tracker(tracker: FileTracker) -> None:
    calls = 200 if LONG else 25

    def work(index: int) -> None:
        for number in range(calls):
            tracker.set_metadata(f"{index} {number}", str(number))
            assert tracker.get_metadata(f"{index} {number}") == str(number)
            tracker.add_thread_query(index, f"query {number}")

    in_threads(4, work)
    assert tracker.call("count-rows", "metadata") == 4 * calls
    assert [len(tracker.get_thread_queries(index, -1)) for index in range(4)] == [calls] * 4


def test_each_thread_may_open_the_store_for_itself(opened: Open, tmp_path: Path) -> None:
    rounds = 30 if LONG else 6
    trackers = [opened(tmp_path / "store") for _ in range(4)]

    def work(index: int) -> None:
        tracker = trackers[index]
        for number in range(rounds):
            with tracker.batch():
                for each in range(10):
                    tracker.set_metadata(f"{index} {number} {each}", "1")
                total = tracker.call("count-rows", "metadata")
            # A batch is seen whole or not at all.
            assert total % 10 == 0
            assert tracker.call("count-rows", "metadata") % 10 == 0

    in_threads(4, work)
    assert trackers[0].call("count-rows", "metadata") == 40 * rounds
    figure("batches of threads over one store", 4 * rounds)


def test_a_batch_belongs_to_its_thread(tracker: FileTracker) -> None:
    tracker.begin_batch()
    tracker.set_metadata("a", "1")

    def work(_: int) -> None:
        look: Callable[[], object] = lambda: tracker.get_metadata("a")  # noqa: E731
        for run in (look, tracker.end_batch, tracker.abort_batch, tracker.close):
            with pytest.raises(TrackerError, match="another thread has a batch open"):
                run()

    in_threads(2, work)
    tracker.end_batch()
    in_threads(1, lambda _: tracker.set_metadata("b", "1"))
    assert (tracker.get_metadata("a"), tracker.get_metadata("b")) == ("1", "1")


def test_a_thread_does_not_wait_for_its_own_batch(tmp_path: Path) -> None:
    tracker, beside = (FileTracker(tmp_path / "store", durability="no-sync") for _ in range(2))
    beside.set_metadata("before", "1")
    with tracker.batch():
        tracker.set_metadata("a", "1")
        with pytest.raises(TrackerError, match="closed"):
            beside.set_metadata("b", "1")
        assert beside.get_metadata("a") is None
    beside.set_metadata("b", "1")
    assert (beside.get_metadata("a"), beside.get_metadata("b")) == ("1", "1")
    tracker.close()
    beside.close()


STUCK = """
import sys, threading
from tracker_store import FileTracker, TrackerError
tracker, beside = FileTracker(sys.argv[1]), FileTracker(sys.argv[1])
beside.set_metadata("a", "1")
thread = threading.Thread(target=tracker.begin_batch)
thread.start()
thread.join()
try:
    beside.set_metadata("a", "2")
except TrackerError as error:
    assert error.case == "store", error
else:
    raise SystemExit("it wrote beside a batch")
assert beside.get_metadata("a") == "1"
"""


def test_a_thread_that_ended_in_a_batch_makes_nobody_wait(tmp_path: Path) -> None:
    run_python(STUCK, str(tmp_path / "store"))
    with FileTracker(tmp_path / "store") as tracker:
        tracker.set_metadata("a", "3")
        assert tracker.get_metadata("a") == "3"


def test_other_options_in_one_process_are_refused(tmp_path: Path) -> None:
    with FileTracker(tmp_path / "store", durability="no-sync") as tracker:
        tracker.set_metadata("a", "1")
        for options in ({"durability": "sync"}, {"read_only": True}, {"map_size": 1 << 30}):
            with pytest.raises(OpenError, match="other options"):
                FileTracker(tmp_path / "store", **({"durability": "no-sync"} | options))
        (tmp_path / "link").symlink_to(tmp_path / "store")
        with FileTracker(tmp_path / "link", durability="no-sync") as same:
            assert same.get_metadata("a") == "1"
        tracker.set_metadata("a", "2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_tracker_does_not_go_through_a_fork_and_a_child_opens_its_own(tmp_path: Path) -> None:
    store = tmp_path / "store"
    tracker = FileTracker(store, durability="no-sync")
    tracker.set_metadata("a", "1")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with pytest.raises(TrackerError, match="forked"):
                tracker.get_metadata("a")
            tracker.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tracker.set_metadata("a", "2")
    assert tracker.get_metadata("a") == "2"
    tracker.close()


WRITER = """
import sys
from tracker_store import FileTracker
with FileTracker(sys.argv[1], engine=sys.argv[2], durability="no-sync") as tracker:
    for number in range(int(sys.argv[4])):
        with tracker.batch():
            for each in range(5):
                tracker.set_metadata(f"{sys.argv[3]} {number} {each}", "v" * 5000)
"""


def test_processes_write_in_turns_and_notice_each_others_growth(engine: str, opened: Open, tmp_path: Path) -> None:
    store, rounds = tmp_path / "store", 200 if LONG else 40
    reader = opened(store)
    if engine == "wasmtime":
        # A map that the others' data soon does not fit into.
        reader.close()
        reader._engine = WasmEngine(store, map_size=10 << 30, durability="no-sync", first_map_size=1 << 18)
    assert reader.file_count() == 0
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store), engine, name, str(rounds)], env=python_environment()
        )
        for name in ("a", "b")
    ]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        now = reader.call("count-rows", "metadata")
        assert now % 5 == 0
        assert now >= seen
        seen = now
    assert [writer.wait() for writer in writers] == [0, 0]
    assert reader.call("count-rows", "metadata") == 10 * rounds
    if engine == "wasmtime":
        assert reader.get_db_stats()["map_size"] >= 16 << 20
    reader.set_metadata("mine", "1")
    reader.close()
    assert verified(store)["records"] == 10 * rounds + 1


def test_the_native_host_and_py_lmdb_take_turns_and_say_so(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with FileTracker(store) as tracker:
        tracker.set_metadata("a", "1")
        ran = subprocess.run(
            [HOST, "call", str(store), 'get-metadata("a")'], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 1
        assert "another version of LMDB" in ran.stderr
        # Nothing happened to it.
        tracker.set_metadata("b", "1")
    assert host("call", store, 'get-metadata("b")') == 'some("1")\n'
    with FileTracker(store, engine="host") as native:
        native.set_metadata("c", "1")
        with pytest.raises(OpenError, match="another version of LMDB") as raised:
            FileTracker(store)
        assert "take turns" in str(raised.value)
        native.set_metadata("d", "1")
        assert host("call", store, 'get-metadata("d")') == 'some("1")\n'
    with FileTracker(store) as tracker:
        assert [tracker.get_metadata(key) for key in "abcd"] == ["1"] * 4
    verified(store)


def test_a_store_of_the_native_host_is_read_to_the_last_row(migrated: Path) -> None:
    with FileTracker(migrated) as tracker:
        here = rows(tracker)
    with FileTracker(migrated, engine="host") as native:
        there = rows(native)
    assert json.dumps(here) == json.dumps(there)
    assert sum(map(len, here.values())) > 2900


def test_a_store_that_was_written_here_is_the_native_hosts(migrated: Path, tmp_path: Path) -> None:
    """All rows are imported over py-lmdb, then read, verified, exported, backed up and compared by the native host."""
    store, copy = tmp_path / "store", tmp_path / "copy"
    with FileTracker(migrated) as source:
        everything = rows(source)
    with FileTracker(store, durability="no-sync") as tracker:
        with tracker.batch():
            for items in everything.values():
                for start in range(0, len(items), 200):
                    tracker.call("import-rows", items[start : start + 200])
        report = tracker.call("verify")
        assert report["errors"] == 0
    assert json.loads(host("verify", store, "--json"))["records"] == report["records"]
    exported = [tmp_path / "here.jsonl", tmp_path / "there.jsonl"]
    host("export", store, "-o", exported[0])
    host("export", migrated, "-o", exported[1])
    assert exported[0].read_bytes() == exported[1].read_bytes()
    host("backup", store, copy)
    with FileTracker(copy) as tracker:
        assert json.dumps(rows(tracker)) == json.dumps(everything)
    # The rows that the migration rejected are what the database has and the store has not.
    compared = subprocess.run([HOST, "compare", str(DATA / "small.db"), str(store)], capture_output=True, check=False)
    native = subprocess.run([HOST, "compare", str(DATA / "small.db"), str(migrated)], capture_output=True, check=False)
    assert (compared.returncode, compared.stdout) == (native.returncode, native.stdout)
