"""What the tests share. The native host is at TRACKER_HOST, which test.sh sets."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tracker_store import FileTracker
from tracker_store._component import runtime
from tracker_store._host import HostEngine
from tracker_store._values import Bytes, Codec, Enum, Float, List, Option, Record, Tuple, Variant

REPOSITORY = Path(__file__).resolve().parents[3]
CONFORMANCE = REPOSITORY / "tests" / "conformance"
DATA = REPOSITORY / "tests" / "data"
HOST = os.environ["TRACKER_HOST"]
ENGINES = ("wasmtime", "host")
LONG = bool(os.environ.get("TRACKER_LONG"))

Open = Callable[..., FileTracker]


def figure(name: str, value: object) -> None:
    """Prints a figure of the long run, which tests/README.md records."""
    print(f"FIGURE {name}: {value}")


def host(*arguments: str | Path, code: int = 0) -> str:
    """Runs the native host: what it prints. It has to end with this code."""
    ran = subprocess.run([HOST, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ran.returncode == code, (arguments, ran.stdout, ran.stderr)
    return ran.stdout


def python_environment() -> dict[str, str]:
    """The environment of another Python that finds the package and the host."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TRACKER_HOST": HOST}


def run_python(program: str, *arguments: str) -> None:
    """Runs another Python, which has to succeed."""
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, env=python_environment())


def verified(store: Path) -> dict[str, Any]:
    """The native host's verify, which has to be without errors and warnings."""
    report: dict[str, Any] = json.loads(host("verify", store, "--json"))
    assert report["errors"] == 0, report
    assert report["warnings"] == 0, report
    return report


def ticking() -> Callable[[], float]:
    """A clock that says 2000000000 at the first look and a second more at each further one."""
    return itertools.count(2_000_000_000).__next__


def with_ticking_clock(engine: str, path: Path) -> FileTracker:
    """A tracker whose time can be reproduced."""
    if engine == "wasmtime":
        return FileTracker(path, durability="no-sync", clock=ticking())
    tracker = FileTracker(path, engine="host")
    # The class has no argument for it: it is the command's own, for recordings.
    tracker.close()
    tracker._engine = HostEngine(path, map_size=1 << 30, arguments=("--ticking-clock", "2000000000"))
    return tracker


def parameters(name: str) -> list[Codec]:
    """The types of a function's parameters."""
    return [codec for _, codec in runtime().functions[name][0]]


def result(name: str) -> Codec | None:
    """The type of what a function answers."""
    answer = runtime().functions[name][1]
    return answer.ok  # type: ignore[attr-defined,no-any-return]


def from_json(codec: Codec, value: Any) -> Any:
    """A value in the encoding of tests/conformance as the package takes it."""
    if isinstance(codec, Float):
        return float(value)
    if isinstance(codec, Bytes):
        return base64.b64decode(value)
    return _within(codec, value, from_json)


def to_json(codec: Codec, value: Any) -> Any:
    """A value that the package returned in the encoding of tests/conformance."""
    if isinstance(codec, Float):
        return value if value - value == 0 else str(value)
    if isinstance(codec, Bytes):
        return base64.b64encode(value).decode()
    if isinstance(codec, Tuple):
        value = list(value)
    return _within(codec, value, to_json)


def _within(codec: Codec, value: Any, convert: Callable[[Codec, Any], Any]) -> Any:
    if isinstance(codec, Option):
        return None if value is None else convert(codec.some, value)
    if isinstance(codec, List):
        return [convert(codec.item, item) for item in value]
    if isinstance(codec, Tuple):
        return [convert(item, part) for item, part in zip(codec.items, value, strict=True)]
    if isinstance(codec, Record):
        return {name: convert(field, value[name]) for name, field in codec.fields}
    if isinstance(codec, Variant) and not isinstance(codec, Enum) and isinstance(value, dict):
        ((case, payload),) = value.items()
        inner = codec.cases[case]
        assert inner is not None
        return {case: convert(inner, payload)}
    return value


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The documents of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
