"""What an instance of the component may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Budgets of an instance. Exceeding one ends the call with an error; the store is not affected."""

    memory: int = 512 << 20
    """Linear memory, in bytes."""
    call_deadline: float = 30.0
    """How long a call may run, in seconds. Waiting for another writer does not count."""
    bulk_deadline: float = 1800.0
    """How long `verify`, `reindex`, imports and deletions of many files may run, in seconds."""
    transactions: int = 8
    """Open transactions."""
    scan_entries: int = 65_536
    """Entries of one page of a scan."""
    scan_bytes: int = 256 << 10
    """Bytes of one page of a scan and of one `get-many` answer. A byte takes 32 on its way
    into the component, so this is less than the native host's 4 MiB; larger pages are no faster."""
    value_size: int = 64 << 20
    """Length of a value, in bytes."""
    transaction_bytes: int = 1 << 30
    """Bytes of the operations of one write transaction, which are kept, to be written again if the map has to grow."""
    tables: int = 64
    """Tables of a component: the environment has room for no more."""


BULK = frozenset({"verify", "reindex", "import-rows", "find-rows", "delete-files", "upsert-files"})
"""The calls that have the longer deadline."""
