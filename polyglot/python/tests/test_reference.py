"""FileTracker's own recorded answers: the class answers the same, or what is written down as different."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from support import CONFORMANCE, DATA, Open, lines

from tracker_store import FileRecord, FileTracker, MemoryRecord

LISTS = {"detected_contexts", "insights", "context", "tags", "symbol_keys"}
LATER = {"is_team": False, "access_count": 0, "last_accessed": None, "owner_id": None}
"""Fields that the recorded FileTracker did not have, and what they are where nobody set them."""


class Recorded(type(Path())):  # type: ignore[misc]
    """A path of the recordings: resolved already, and of files that are not here."""

    def __new__(cls, text: str) -> Recorded:
        path: Recorded = super().__new__(cls, text)
        path.text = text
        return path

    def resolve(self, strict: bool = False) -> Recorded:
        return self

    def __str__(self) -> str:
        # A Path of no text is the folder ".".
        return str(self.text)


def _argument(value: Any) -> Any:
    return Recorded(value["$path"]) if isinstance(value, dict) and "$path" in value else value


def _list_of(text: Any, column: str) -> list[Any]:
    """The list in a column of JSON text; empty where that is none."""
    try:
        items = json.loads(text) if text else []
    except ValueError:
        return []
    if not isinstance(items, list):
        return []
    if column == "symbol_keys":
        fits = all(type(item) is int and 0 <= item < 2**64 for item in items)
    else:
        fits = all(isinstance(item, str) for item in items)
    return items if fits else []


def recorded(value: Any) -> Any:
    """A recorded answer, with JSON text as the list in it."""
    if isinstance(value, list):
        return [recorded(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$f64"}:
            return struct.unpack(">d", bytes.fromhex(value["$f64"]))[0]
        return {
            name: (field if isinstance(field, list) else _list_of(field, name)) if name in LISTS else recorded(field)
            for name, field in value.items()
        }
    return value


def shaped(value: Any) -> Any:
    """An answer of the class in the shape of the recorded ones."""
    if is_dataclass(value) and not isinstance(value, type):
        fields = asdict(value)
        if isinstance(value, (FileRecord, MemoryRecord)):
            for name, default in LATER.items():
                assert fields.pop(name, default) == default, (name, value)
        return {name: _list_of(field, name) if name in LISTS else field for name, field in fields.items()}
    if isinstance(value, (list, tuple)):
        return [shaped(item) for item in value]
    return value


def id_of(record: Any) -> Any:
    """The id by which the manifest names a record of a long list."""
    if isinstance(record, dict):
        return next(record[name] for name in ("id", "path", "key_hash") if name in record)
    if isinstance(record, list) and record and isinstance(record[0], dict):
        return id_of(record[0])
    return record


def digest(ids: list[Any]) -> str:
    """The digest of ids as the manifest has it."""
    texts = [
        f"({', '.join('None' if part is None else str(part) for part in i)})" if isinstance(i, list) else str(i)
        for i in ids
    ]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def matches(call: dict[str, Any], answer: Any) -> bool:
    """Whether an answer is the recorded one."""
    if "result" in call:
        return bool(recorded(call["result"]) == answer)
    ids = [id_of(item) for item in answer]
    first, last = call["first_ids"], call["last_ids"]
    ends = ids[: len(first)] == first and ids[len(ids) - len(last) :] == last
    return bool(len(ids) == call["result_len"] and ends and digest(ids) == call["ids_sha256"])


def make(tracker: FileTracker, call: dict[str, Any]) -> Any:
    """Makes a recorded call."""
    arguments = [_argument(argument) for argument in call["args"]]
    answer = getattr(tracker, call["method"])(*arguments, **call["kwargs"])
    return shaped(list(answer) if hasattr(answer, "__next__") else answer)


@pytest.fixture(scope="module")
def manifest() -> list[dict[str, Any]]:
    """The recorded calls."""
    text = (DATA / "small.manifest.json").read_text(encoding="utf-8")
    # Half a surrogate pair cannot be in a store's text: the migration replaces it.
    calls: list[dict[str, Any]] = json.loads(text.replace("\\udcff", "\\ufffd"))["api"]
    assert len(calls) == 468
    return calls


@pytest.fixture(scope="module")
def differences() -> dict[int, dict[str, Any]]:
    """What is answered on purpose in place of what was recorded, by position."""
    return {line["position"]: line for line in lines(CONFORMANCE / "differences.jsonl")}


def test_the_class_answers_as_filetracker_did(
    opened: Open, migrated: Path, manifest: list[dict[str, Any]], differences: dict[int, dict[str, Any]]
) -> None:
    tracker = opened(migrated)
    wrong = []
    used = set()
    for position, call in enumerate(manifest):
        answer = make(tracker, call)
        if matches(call, answer):
            continue
        difference = differences.get(position)
        if difference is None:
            wrong.append(
                (
                    position,
                    call["method"],
                    call["args"],
                    call["kwargs"],
                    str(answer)[:500],
                    str(call.get("result"))[:500],
                )
            )
            continue
        used.add(position)
        if "ids" in difference:
            right = [id_of(item) for item in answer] == difference["ids"]
        else:
            right = _without_later(difference["answer"]) == answer
        if not right:
            wrong.append(
                (position, call["method"], call["args"], call["kwargs"], str(answer)[:500], str(difference)[:500])
            )
    assert not wrong, f"{len(wrong)} answers differ:\n" + "\n".join(map(str, wrong))
    assert used == set(differences)


def _without_later(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_later(item) for item in value]
    if isinstance(value, dict):
        later = LATER if "content_hash" in value or "symbol_keys" in value else {}
        return {name: _without_later(field) for name, field in value.items() if name not in later}
    return value
