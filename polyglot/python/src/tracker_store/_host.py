"""The engine in a child process: `host call STORE - --json`, a call a line and an answer a line."""

from __future__ import annotations

import base64
import collections
import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ._engine import STATS, Engine
from .errors import OpenError, TrackerError, of_case

_PROGRAM = "TRACKER_HOST"
"""The environment variable that says where the command is. `host` on the path is often another program."""
_FLOATS = frozenset(
    (
        "mtime",
        "indexed-at",
        "created-at",
        "updated-at",
        "last-accessed",
        "last-applied",
        "first-access",
        "last-access",
        "last-touch",
        "last-used",
        "timestamp",
    )
)
"""The fields that are floats, which JSON writes as a text where they are not finite."""

_HARMLESS = frozenset(
    {"invalid-call", "invalid-argument", "key-conflict", "corrupt", "incompatible", "no-such-function"}
)
"""The cases of errors after which a batch goes on."""
_BEYOND = re.compile(r": -?\d+ is not a [us]\d+$")
"""What the command says of an integer that its type does not have."""


class HostEngine(Engine):
    """A session with the native host."""

    def __init__(
        self,
        path: Path,
        *,
        map_size: int,
        durability: str = "sync",
        create: bool = True,
        read_only: bool = False,
        program: str | os.PathLike[str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__()
        found = program or os.environ.get(_PROGRAM)
        if not found:
            raise OpenError(f'engine="host" needs the host command: pass program=, or set {_PROGRAM} to where it is')
        self._program, self._path = os.fspath(found), path
        self._open = ["--durability", durability, "--max-map-size", str(map_size)]
        if read_only:
            self._open.append("--read-only")
        command = [self._program, "call", os.fspath(path), "-", "--json", *self._open, *arguments]
        if create and not read_only:
            command.append("--create")
        self._said: collections.deque[str] = collections.deque(maxlen=20)
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise OpenError(f"{found} cannot be run: {error}") from error
        self._listener = threading.Thread(target=self._listen, name="tracker-store host", daemon=True)
        self._listener.start()
        self._failed_case = ""
        try:
            # It says why it cannot open the store before the first call.
            self._run("file-count", ())
        except BaseException:
            self._end()
            raise

    def _listen(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            self._said.append(line.decode(errors="replace").rstrip())

    def _run(self, name: str, arguments: Sequence[Any]) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        call = {"call": name, "args": [_to_json(argument) for argument in arguments]}
        line = json.dumps(call, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
            answer = self._child.stdout.readline()
        except OSError:
            answer = b""
        except BaseException:
            # The answer is still to come: later ones would be taken for others.
            self._child.kill()
            raise
        if not answer.endswith(b"\n"):
            self._failed_case = "gone"
            raise self._gone()
        document = json.loads(answer, object_hook=_floats)
        if isinstance(document, dict) and document.keys() == {"error", "case"}:
            case, text = document["case"], document["error"]
            self._failed_case = case
            if case == "invalid-call" and text.startswith("there is no function"):
                case = "no-such-function"
            if case == "invalid-call":
                raise OverflowError(text) if _BEYOND.search(text) or _beyond(arguments) else TypeError(text)
            raise of_case(case, text.removeprefix(f"{name} failed: "))
        if isinstance(document, dict) and document.keys() == {"items", "next"} and document["next"] is not None:
            document["next"] = base64.b64decode(document["next"])
        return document

    def _gone(self) -> TrackerError:
        """What the command said when it ended."""
        self._child.wait()
        self._listener.join(1.0)
        said = [line.removeprefix("error: ") for line in self._said if line.startswith("error: ")]
        text = said[-1] if said else f"host call ended with {self._child.returncode}"
        return OpenError(text) if self._child.returncode in (1, 2, 3, 4) else TrackerError("other", text)

    def _batch_is_open(self) -> bool:
        # A refused argument reached no transaction, and what the component answers leaves the batch usable.
        return self._failed_case in _HARMLESS

    def _forget_batch(self) -> None:
        if self._child.poll() is None:
            self._run("abort-batch", ())

    def _end(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass
        # A batch that is open ends with the session.
        self._child.wait()
        self._listener.join(1.0)
        if self._child.stderr is not None:
            self._child.stderr.close()

    def _compact(self) -> None:
        self._command("compact")

    def stats(self) -> dict[str, int]:
        found = json.loads(self._command("stats"))["environment"]
        return {name: found[name.replace("_", "-")] for name in STATS}

    def _command(self, name: str) -> str:
        """Runs another command on the store: what it prints."""
        command = [self._program, name, os.fspath(self._path), "--json"]
        ran = subprocess.run(command, capture_output=True, check=False, text=True)
        if ran.returncode:
            raise TrackerError("other", ran.stderr.strip().removeprefix("error: "))
        return ran.stdout


def _to_json(value: Any) -> Any:
    """An argument in the encoding of the command."""
    if isinstance(value, float):
        return value if value - value == 0 else {"inf": "inf", "-inf": "-inf"}.get(str(value), "nan")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _to_json(field) for name, field in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value


def _beyond(value: Any) -> bool:
    """True if there is an integer that no type has; the command reads it as a float."""
    if isinstance(value, (list, tuple)):
        return any(_beyond(item) for item in value)
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 64


def _floats(record: dict[str, Any]) -> dict[str, Any]:
    for name in _FLOATS & record.keys():
        if isinstance(record[name], str):
            record[name] = float(record[name])
    return record
