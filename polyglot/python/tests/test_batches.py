"""Batches, errors in them, and what closing and crashes leave."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import Open, python_environment, verified

from tracker_store import BatchAborted, FileTracker, InvalidArgument, Limits, TrackerError, Trapped


def test_a_batch_is_committed_whole_and_an_exception_aborts_it(opened: Open, tmp_path: Path) -> None:
    tracker = opened(tmp_path / "store")
    beside = opened(tmp_path / "store")
    with tracker.batch():
        tracker.set_metadata("a", "1")
        assert tracker.in_batch
        assert (tracker.get_metadata("a"), beside.get_metadata("a")) == ("1", None)
    assert not tracker.in_batch
    assert beside.get_metadata("a") == "1"
    with pytest.raises(ZeroDivisionError), tracker.batch():
        tracker.set_metadata("a", "2")
        tracker.set_metadata("b", "2")
        1 / 0  # noqa: B018
    assert (tracker.get_metadata("a"), tracker.get_metadata("b")) == ("1", None)
    assert not tracker.in_batch


def test_batches_do_not_nest(tracker: FileTracker) -> None:
    with tracker.batch():
        with tracker.batch():
            tracker.set_metadata("a", "1")
        assert tracker.in_batch
        tracker.begin_batch()
        tracker.set_metadata("b", "1")
        tracker.abort_batch()
    assert (tracker.get_metadata("a"), tracker.get_metadata("b")) == (None, None)
    tracker.end_batch()
    tracker.abort_batch()


def test_an_answer_that_is_an_error_leaves_the_batch_usable_and_has_no_effect(tracker: FileTracker) -> None:
    with tracker.batch():
        tracker.cache_pattern(1, "kept", "grep", ["/a"], 0, 0)
        with pytest.raises(InvalidArgument, match="twice"):
            tracker.cache_pattern(1, "lost", "grep", ["/b", "/b"], 0, 0)
        with pytest.raises(TypeError):
            tracker.set_metadata("a", 1)  # type: ignore[arg-type]
        with pytest.raises(TrackerError, match="no function"):
            tracker.call("no-such-function")
    found = tracker.get_pattern_cache(1)
    assert found is not None
    assert (found.pattern, found.matched_files) == ("kept", ["/a"])


def test_closing_in_a_batch_aborts_it_and_a_later_call_opens_the_store_again(opened: Open, tmp_path: Path) -> None:
    tracker = opened(tmp_path / "store")
    tracker.set_metadata("a", "1")
    tracker.begin_batch()
    tracker.set_metadata("a", "2")
    tracker.close()
    tracker.close()
    assert not tracker.in_batch
    assert tracker.get_metadata("a") == "1"
    tracker.close()
    verified(tmp_path / "store")


def test_a_trap_in_a_batch_aborts_it(tmp_path: Path) -> None:
    times = iter([1.0, 2.0])
    tracker = FileTracker(tmp_path / "store", durability="no-sync", clock=times.__next__)
    tracker.set_metadata("a", "1")
    with pytest.raises(BatchAborted), tracker.batch():
        tracker.set_metadata("a", "2")
        for position in (1, 2):
            tracker.set_transcript_position("/t", position)
        # The clock is at its end: what it raises traps.
        with pytest.raises(Trapped) as trapped:
            tracker.set_transcript_position("/t", 3)
        assert isinstance(trapped.value.__cause__, StopIteration)
        with pytest.raises(BatchAborted):
            tracker.get_metadata("a")
        with pytest.raises(BatchAborted):
            tracker.begin_batch()
    assert not tracker.in_batch
    assert (tracker.get_metadata("a"), tracker.get_transcript_position("/t")) == ("1", 0)
    tracker.begin_batch()
    with pytest.raises(Trapped):
        tracker.set_transcript_position("/t", 3)
    tracker.abort_batch()
    with tracker.batch():
        tracker.set_metadata("a", "3")
    assert tracker.get_metadata("a") == "3"
    tracker.close()
    verified(tmp_path / "store")


def test_an_interrupt_in_a_call_is_raised_and_nothing_of_the_call_is_kept(tmp_path: Path) -> None:
    def interrupt() -> float:
        raise KeyboardInterrupt

    with FileTracker(tmp_path / "store", durability="no-sync", clock=interrupt) as tracker:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                tracker.set_transcript_position("/t", 1)
        assert tracker.get_all_transcript_positions() == {}
        tracker.set_metadata("a", "1")
        assert tracker.get_metadata("a") == "1"


def test_a_call_that_runs_too_long_is_ended(tmp_path: Path) -> None:
    def slow() -> float:
        time.sleep(1.0)
        return 1.0

    limits = Limits(call_deadline=0.2)
    with FileTracker(tmp_path / "store", durability="no-sync", clock=slow, limits=limits) as tracker:
        with pytest.raises(Trapped) as trapped:
            tracker.set_transcript_position("/t", 1)
        assert trapped.value.case == "deadline"
        assert tracker.get_transcript_position("/t") == 0


def test_waiting_for_another_writer_is_not_running_too_long(tmp_path: Path) -> None:
    limits = Limits(call_deadline=0.2)
    tracker = FileTracker(tmp_path / "store", durability="no-sync", limits=limits)
    beside = FileTracker(tmp_path / "store", durability="no-sync", limits=limits)
    assert tracker.file_count() == beside.file_count() == 0
    tracker.begin_batch()
    writer = threading.Thread(target=beside.set_metadata, args=("a", "1"))
    writer.start()
    time.sleep(1.0)
    assert writer.is_alive()
    tracker.end_batch()
    writer.join()
    assert tracker.get_metadata("a") == "1"
    beside.close()
    tracker.close()


def test_a_component_that_needs_too_much_memory_is_ended(tmp_path: Path) -> None:
    with FileTracker(tmp_path / "store", durability="no-sync", limits=Limits(memory=8 << 20)) as tracker:
        tracker.set_metadata("a", "1")
        with pytest.raises(Trapped):
            tracker.set_metadata("b", "x" * (9 << 20))
        assert (tracker.get_metadata("a"), tracker.get_metadata("b")) == ("1", None)


def test_a_child_that_was_killed_is_an_error_and_the_tracker_can_be_opened_again(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path / "store", engine="host", durability="no-sync")
    tracker.set_metadata("a", "1")
    tracker.begin_batch()
    tracker.set_metadata("a", "2")
    engine = tracker._engine
    engine._child.kill()  # type: ignore[union-attr]
    with pytest.raises(TrackerError):
        tracker.set_metadata("a", "3")
    with pytest.raises(BatchAborted):
        tracker.end_batch()
    tracker.close()
    assert tracker.get_metadata("a") == "1"
    tracker.close()


CRASH = """
import sys, time
from tracker_store import FileTracker
tracker = FileTracker(sys.argv[1], engine=sys.argv[2])
tracker.set_metadata("before", "1")
tracker.begin_batch()
tracker.set_metadata("inside", "1")
print("inside", flush=True)
time.sleep(600)
"""


def test_a_process_that_is_killed_in_a_batch_leaves_nothing_of_it_and_no_lock(
    engine: str, opened: Open, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", CRASH, str(tmp_path / "store"), engine]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=python_environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inside\n"
        process.send_signal(signal.SIGKILL)
    tracker = opened(tmp_path / "store")
    tracker.set_metadata("after", "1")
    assert [tracker.get_metadata(key) for key in ("before", "inside", "after")] == ["1", None, "1"]
    tracker.close()
    verified(tmp_path / "store")


def test_what_was_not_closed_is_closed_when_it_is_let_go(opened: Open, engine: str, tmp_path: Path) -> None:
    dropped = FileTracker(tmp_path / "store", engine=engine, durability="no-sync")  # type: ignore[arg-type]
    dropped.begin_batch()
    dropped.set_metadata("a", "1")
    del dropped
    assert opened(tmp_path / "store").get_metadata("a") is None
