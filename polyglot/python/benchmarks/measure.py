"""What a call costs over both engines, in µs: the lower quartile of short slices, most of which nothing else interrupts.

TRACKER_HOST=target/release/host python benchmarks/measure.py

Engines take turns slice by slice, so that what else the machine does meets both.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracker_store import FileTracker

FILES = 10_000
SLICES = 60

Work = tuple[int, Callable[[FileTracker], Any], int]


def path(index: int) -> str:
    """A file's path."""
    return f"/home/dev/project/src/module{index % 100}/file{index}.rs"


def upsert(tracker: FileTracker, index: int) -> None:
    """Records a file, without the look at the disk that `upsert_file` takes."""
    tracker.call("upsert-file", path(index), 1.7e9, index, "a" * 64, 0, index, index, ["context:cli"])


def fill(tracker: FileTracker) -> None:
    """Files, the first thousand of them with ten symbols each."""
    with tracker.batch():
        for index in range(FILES):
            upsert(tracker, index)
            if index < 1000:
                symbols = [
                    {"name": f"symbol{(index * 7 + line) % 5000}", "kind": "function", "line-start": line * 10}
                    | {"line-end": line * 10 + 9, "blob-offset": 0, "blob-length": 10, "key-hash": index * 100 + line}
                    for line in range(10)
                ]
                tracker.call("replace-symbols", path(index), symbols)


def some() -> int:
    """One of the files."""
    return random.randrange(FILES)


def in_batch(tracker: FileTracker) -> None:
    """Fifty files in a batch."""
    with tracker.batch():
        for _ in range(50):
            upsert(tracker, some())


def list_all(tracker: FileTracker) -> None:
    """Every file as a record."""
    for _ in tracker.iter_files(batch_size=1000):
        pass


WORKS: dict[str, Work] = {
    "get_file": (30, lambda tracker: tracker.get_file(path(some())), 1),
    "get-files, 100 a call, a record": (
        2,
        lambda tracker: tracker.call("get-files", [path(some()) for _ in range(100)]),
        100,
    ),
    "get_symbols, ten": (20, lambda tracker: tracker.get_symbols(path(random.randrange(1000))), 1),
    "file_count": (30, lambda tracker: tracker.file_count(), 1),
    "iter_files, 1000 a page, a record": (1, list_all, FILES),
    "get_recent_files(10)": (10, lambda tracker: tracker.get_recent_files(10), 1),
    "upsert-file": (5, lambda tracker: upsert(tracker, some()), 1),
    "upsert-file in a batch of 50": (1, in_batch, 50),
}
"""What is measured: calls a slice, the call, and its records."""


def measure(trackers: dict[str, FileTracker], work: Work) -> list[float]:
    """The lower quartile a record for each tracker, in µs."""
    calls, run, records = work
    times: dict[str, list[float]] = {name: [] for name in trackers}
    for _ in range(SLICES if records < FILES else 5):
        for name in random.sample(list(trackers), len(trackers)):
            tracker = trackers[name]
            run(tracker)
            begun = time.perf_counter()
            for _ in range(calls):
                run(tracker)
            times[name].append((time.perf_counter() - begun) * 1e6 / calls / records)
    return [sorted(found)[len(found) // 4] for found in times.values()]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trackers = {
            name: FileTracker(Path(folder) / name, engine=engine, durability=durability)  # type: ignore[arg-type]
            for name, engine, durability in (
                ("wasmtime, not synced", "wasmtime", "no-sync"),
                ("host, not synced", "host", "no-sync"),
                ("wasmtime, synced", "wasmtime", "sync"),
                ("host, synced", "host", "sync"),
            )
        }
        for tracker in trackers.values():
            fill(tracker)
        print("| µs |", " | ".join(trackers), "|")
        print("|---|" + "---|" * len(trackers))
        for name, work in WORKS.items():
            print(f"| {name} |", " | ".join(f"{each:.1f}" for each in measure(trackers, work)), "|")
        for tracker in trackers.values():
            tracker.close()


if __name__ == "__main__":
    main()
