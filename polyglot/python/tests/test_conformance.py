"""The recorded calls that the hosts of all languages replay: see tests/conformance/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support import CONFORMANCE, figure, from_json, host, lines, parameters, result, to_json, with_ticking_clock

from tracker_store import TrackerError
from tracker_store._component import runtime


def _same(a: Any, b: Any) -> bool:
    """Equal, and of the same kind where Python's `==` is generous: a bool is not a number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[name]) for name, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def test_every_recorded_call_is_answered_as_the_rust_host_answers_it(engine: str, tmp_path: Path) -> None:
    tracker = with_ticking_clock(engine, tmp_path / "store")
    wrong: list[tuple[Any, ...]] = []
    calls = 0
    for number, line in enumerate(lines(CONFORMANCE / "calls.jsonl"), 1):
        name, recorded = line["call"], line["args"]
        arguments = [from_json(codec, value) for codec, value in zip(parameters(name), recorded, strict=True)]
        calls += 1
        try:
            answer = tracker.call(name, *arguments)
        except TrackerError as error:
            expected = line.get("error", {"case": None})
            if expected["case"] != error.case or (expected.get("text") or "") not in str(error):
                wrong.append((number, name, recorded, error))
            continue
        codec = result(name)
        encoded = None if codec is None else to_json(codec, answer)
        if "error" in line or not _same(encoded, line["answer"]):
            wrong.append((number, name, recorded, encoded))
    assert wrong == []
    assert calls > 800
    figure(f"calls replayed over {engine}", calls)
    tracker.close()
    # Rows of FileTracker's own are among what was imported; they have malformed JSON text, which is a warning.
    assert json.loads(host("verify", tmp_path / "store", "--json"))["errors"] == 0


def test_every_function_of_the_interface_is_among_the_recorded_calls() -> None:
    called = {line["call"] for line in lines(CONFORMANCE / "calls.jsonl")}
    assert called == set(runtime().functions)
