"""The engine in this process: wasmtime runs the component, py-lmdb is the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._compact import compact
from ._component import Clock, Failed, Instance, runtime
from ._engine import Engine
from ._environment import Settings, open_environment
from .errors import OpenError, TrackerError, of_answer, of_case
from .limits import Limits

_RETRIES = 16
"""How often a call is run again when other writers were faster."""


class WasmEngine(Engine):
    """A session with an instance of the component. After a trap the next call has a new one."""

    def __init__(
        self,
        path: Path,
        *,
        map_size: int,
        durability: str = "sync",
        create: bool = True,
        read_only: bool = False,
        limits: Limits | None = None,
        clock: Clock | None = None,
        component: bytes | None = None,
        first_map_size: int = 16 << 20,
    ) -> None:
        super().__init__()
        self._limits = limits or Limits()
        self._clock = clock or time.time
        self._runtime = runtime(component)
        self._instance: Instance | None = None
        # Set by the first call that succeeds: before it the component may have opened its tables and failed after that.
        self._ready = False
        settings = Settings(read_only, durability, min(first_map_size, map_size), map_size)
        self._environment = open_environment(path, settings, create=create)

    def _start(self) -> Instance:
        if self._instance is None:
            self._instance = Instance(self._runtime, self._environment, self._limits, self._clock)
            self._ready = False
        return self._instance

    def _drop(self) -> None:
        """Drops the instance, and with it its transactions."""
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()

    def _run(self, name: str, arguments: Sequence[Any]) -> Any:
        signature = self._runtime.functions.get(name)
        if signature is None:
            raise TrackerError("no-such-function", f"there is no function {name!r}")
        if len(arguments) != len(signature[0]):
            raise TypeError(f"{name} takes {len(signature[0])} arguments, not {len(arguments)}")
        attempt = 1
        while True:
            instance = self._start()
            try:
                ok, answer = instance.call(name, arguments)
            except (TypeError, ValueError, OverflowError):
                # An argument was refused before the component was called.
                raise
            except Failed as failed:
                self._drop()
                raise of_case(failed.case, _TEXTS[failed.case].format(failed)) from failed.__cause__
            except BaseException:
                # Whatever it was, the instance may be half way in a call.
                self._drop()
                raise
            if ok:
                self._ready = True
                self._end_strays()
                return answer
            error = of_answer(answer)
            if error.case != "conflict" or self.in_batch or attempt > _RETRIES:
                self._end_strays(failed=True)
                raise error
            self._end_strays(failed=True)
            attempt += 1

    def _end_strays(self, *, failed: bool = False) -> None:
        """Outside a batch no transaction outlives a call, unless a batch was just begun; nor does an instance that never was ready."""
        instance = self._instance
        if instance is None:
            return
        if not self._ready or (failed and not self.in_batch and instance.store.transactions):
            self._drop()

    def _batch_is_open(self) -> bool:
        return self._instance is not None and bool(self._instance.store.transactions)

    def _end(self) -> None:
        try:
            self._drop()
        finally:
            self._environment.release()

    def _compact(self) -> None:
        if self._environment.users:
            raise OpenError(f"{self._environment.path} is open elsewhere in this process; close it there first")
        compact(Path(self._environment.path))

    def stats(self) -> dict[str, int]:
        with self._turn:
            self._may_call()
            if self._instance is None:
                # The component names its tables when it starts.
                self._run("file-count", ())
            return self._environment.stats()


_TEXTS = {
    "trap": "the component failed: {}",
    "too-large": "the call writes more than wasmtime lets a Python host take, which is about 2 MB; "
    'write less at a time, or use engine="host" ({})',
    "deadline": "the call ran longer than it may; allow more (Limits) or ask for less ({})",
}
