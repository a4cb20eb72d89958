"""wheel.py <repository> <store>: uses the installed package, which must not be that of the repository."""

import sys
from pathlib import Path

import tracker_store
from tracker_store import FileTracker

repository, store = map(Path, sys.argv[1:])
installed = Path(tracker_store.__file__).resolve()
assert "site-packages" in installed.parts, installed
assert repository / "polyglot" not in installed.parents, installed
assert (installed.parent / "py.typed").exists()
with FileTracker(store) as tracker:
    with tracker.batch():
        tracker.upsert_file(Path(__file__), "hash", 0, 1, 2**64 - 1, ["context:cli"])
    (file,) = tracker.iter_files_by_context("context:cli")
    assert file.key_hash == 2**64 - 1
print(f"the wheel works: {tracker_store.__version__} in {installed.parent}")
