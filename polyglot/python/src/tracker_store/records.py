"""The records that a `FileTracker` returns: FileTracker's own, with its columns' names, order and defaults.

Columns that hold JSON text hold it here as well: `json.loads(memory.tags)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar


@dataclass
class FileRecord:
    """An indexed file. Times are seconds since 1970, offsets and lengths bytes."""

    path: str
    mtime: float
    size: int
    content_hash: str
    blob_offset: int
    blob_length: int
    key_hash: int
    indexed_at: float
    vector_offset: int | None = None
    vector_length: int | None = None
    detected_contexts: str | None = None
    """JSON text: a list of strings; None if there is none."""
    is_team: bool = False


@dataclass
class SymbolRecord:
    """A symbol of a file, or an insight found in one."""

    id: int
    file_path: str
    name: str
    kind: str
    line_start: int
    line_end: int | None
    blob_offset: int
    blob_length: int
    key_hash: int
    vector_offset: int | None = None
    vector_length: int | None = None


@dataclass
class Checkpoint:
    """A checkpoint of an indexing run."""

    id: int
    created_at: float
    last_path: str
    total_files: int
    processed_files: int


@dataclass
class MemoryRecord:
    """A memory. `insights`, `context`, `symbol_keys` and `tags` are JSON text: lists."""

    id: str
    task: str | None
    insights: str
    context: str
    symbol_keys: str
    text: str
    tags: str
    blob_offset: int
    blob_length: int
    key_hash: int
    created_at: float
    updated_at: float | None
    vector_offset: int | None = None
    vector_length: int | None = None
    access_count: int = 0
    last_accessed: float | None = None
    owner_id: str | None = None
    is_team: bool = False


@dataclass
class PatternCacheRecord:
    """The cached result of a search pattern."""

    key_hash: int
    pattern: str
    tool_type: str
    matched_files: list[str]
    created_at: float
    blob_offset: int
    blob_length: int
    vector_offset: int | None = None
    vector_length: int | None = None


@dataclass
class SessionThreadRecord:
    """A thread of work in a session."""

    id: int
    session_id: str
    title: str
    created_at: float
    last_touch: float
    touches: int
    is_active: bool
    centroid_offset: int | None = None
    centroid_length: int | None = None


@dataclass
class ThreadFileRecord:
    """A file that a thread worked on."""

    thread_id: int
    file_path: str
    operation: str
    first_access: float
    last_access: float
    access_count: int


@dataclass
class ThreadQueryRecord:
    """A query made in a thread."""

    id: int
    thread_id: int
    query_text: str
    timestamp: float
    embedding_offset: int | None = None
    embedding_length: int | None = None


@dataclass
class ThreadToolRecord:
    """A tool that a thread used."""

    id: int
    thread_id: int
    tool_name: str
    tool_count: int
    last_used: float


@dataclass
class ConventionRecord:
    """A coding convention. `scope`, the examples and `tags` are JSON text: lists of strings."""

    id: str
    name: str
    description: str
    category: str
    scope: str
    priority: str
    good_examples: str
    bad_examples: str
    pattern: str | None
    tags: str
    org_id: str | None
    blob_offset: int
    blob_length: int
    key_hash: int
    created_at: float
    updated_at: float | None
    vector_offset: int | None = None
    vector_length: int | None = None
    times_applied: int = 0
    last_applied: float | None = None


R = TypeVar("R")
Builder = Callable[[dict[str, Any]], R]

_TEXTS = frozenset({"insights", "context", "symbol_keys", "tags", "scope", "good_examples", "bad_examples"})
"""Fields that are JSON text here and lists in the interface."""


def _builder(record: type[R]) -> Builder[R]:
    """What makes the record of an answer."""
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    wit = [name.replace("_", "-") for name in names]
    texts = [index for index, name in enumerate(names) if name in _TEXTS]

    def build(answer: dict[str, Any]) -> R:
        values = [answer[name] for name in wit]
        for index in texts:
            values[index] = json.dumps(values[index])
        return record(*values)

    return build


def _file(answer: dict[str, Any]) -> FileRecord:
    record = _plain_file(answer)
    contexts = answer["detected-contexts"]
    record.detected_contexts = json.dumps(contexts) if contexts else None
    return record


_plain_file = _builder(FileRecord)
file: Builder[FileRecord] = _file
symbol = _builder(SymbolRecord)
checkpoint = _builder(Checkpoint)
memory = _builder(MemoryRecord)
pattern = _builder(PatternCacheRecord)
thread = _builder(SessionThreadRecord)
thread_file = _builder(ThreadFileRecord)
thread_query = _builder(ThreadQueryRecord)
thread_tool = _builder(ThreadToolRecord)
convention = _builder(ConventionRecord)
