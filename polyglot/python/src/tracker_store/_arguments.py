"""FileTracker's arguments in the terms of the interface."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

_ALL = (1 << 32) - 1

StringList = str | Sequence[str] | None
"""JSON text of a list, as FileTracker takes it, or the list."""


def path(value: str | os.PathLike[str]) -> str:
    """A path as it is stored: absolute, symbolic links followed."""
    return str((value if isinstance(value, Path) else Path(value)).resolve())


def key_hash(value: int) -> int:
    """A key hash modulo 2^64, as SQLite's FileTracker takes it. OverflowError beyond what that takes."""
    if not -(1 << 63) <= value < (1 << 64) + (1 << 63):
        raise OverflowError(f"{value} is not a 64-bit hash")
    return value % (1 << 64)


def limit(value: int) -> int:
    """A limit; below zero is none."""
    return _ALL if value < 0 else min(value, _ALL)


def offset(value: int) -> int:
    """An offset; below zero is zero."""
    return max(0, min(value, _ALL))


def strings(value: StringList, name: str) -> list[str]:
    """The strings of a list or of its JSON text. ValueError if it is something else."""
    items = _items(value, name)
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"{name}: expected a list of strings, not {value!r}")
    return items


def integers(value: str | Sequence[int] | None, name: str) -> list[int]:
    """The integers of a list or of its JSON text. ValueError if it is something else."""
    items = _items(value, name)
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
        raise ValueError(f"{name}: expected a list of integers, not {value!r}")
    return items


def _items(value: object, name: str) -> list:  # type: ignore[type-arg]
    if value is None or value == "":
        return []
    items = json.loads(value) if isinstance(value, str) else value
    if items is None:
        return []
    if not isinstance(items, (list, tuple)):
        raise ValueError(f"{name}: expected JSON text of a list, or a list, not {value!r}")
    return list(items)
