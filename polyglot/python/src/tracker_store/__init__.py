"""A code index's metadata in an LMDB store: FileTracker over the tracker component.

from tracker_store import FileTracker

with FileTracker("store") as tracker:
    with tracker.batch():
        tracker.upsert_file(path, content_hash, blob_offset, blob_length, key_hash, ["context:cli"])
    for file in tracker.iter_files_by_context("context:cli"):
        print(file.path)
"""

from .errors import BatchAborted, InvalidArgument, KeyConflict, OpenError, TrackerError, Trapped
from .limits import Limits
from .records import (
    Checkpoint,
    ConventionRecord,
    FileRecord,
    MemoryRecord,
    PatternCacheRecord,
    SessionThreadRecord,
    SymbolRecord,
    ThreadFileRecord,
    ThreadQueryRecord,
    ThreadToolRecord,
)
from .tracker import Batch, FileTracker

__all__ = [
    "Batch",
    "BatchAborted",
    "Checkpoint",
    "ConventionRecord",
    "FileRecord",
    "FileTracker",
    "InvalidArgument",
    "KeyConflict",
    "Limits",
    "MemoryRecord",
    "OpenError",
    "PatternCacheRecord",
    "SessionThreadRecord",
    "SymbolRecord",
    "ThreadFileRecord",
    "ThreadQueryRecord",
    "ThreadToolRecord",
    "TrackerError",
    "Trapped",
]
__version__ = "0.1.0"
