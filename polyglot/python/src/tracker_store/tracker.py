"""The class `FileTracker`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from ._engine import Engine
from ._files import Files
from ._memories import Memories
from ._progress import Progress
from ._symbols import Symbols
from ._work import Patterns, Threads
from .errors import TrackerError
from .limits import Limits

Durability = Literal["sync", "no-meta-sync", "no-sync"]


class Batch:
    """A batch as a context: committed at its end, aborted if an exception leaves it.

    Inside another batch it is a part of that one.
    """

    def __init__(self, tracker: FileTracker) -> None:
        self._tracker = tracker
        self._inner = False

    def __enter__(self) -> Batch:
        self._inner = self._tracker.in_batch
        if not self._inner:
            self._tracker.begin_batch()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._inner:
            return
        if kind is None:
            self._tracker.end_batch()
            return
        try:
            self._tracker.abort_batch()
        except Exception as also:
            # The transaction is gone all the same, and `error` says why the batch ended.
            if error is not None:
                error.add_note(f"and the batch could not be aborted: {also}")


class FileTracker(Files, Symbols, Progress, Memories, Patterns, Threads):
    """FileTracker's methods over the tracker component.

    `db_path` is the store's directory, `map_size` what it may grow to in bytes. `engine` is
    "wasmtime", the component in this process over py-lmdb, or "host", the native host as a child
    process, which shares a store with all native programs; it is found through `program` or the
    environment variable TRACKER_HOST. A commit survives the loss of power unless `durability`
    says otherwise.

    A call is a transaction. A call that fails raises a `TrackerError` and has no effect; an
    argument of a wrong type is a TypeError, an integer that is too large an OverflowError.
    Threads take turns; a batch belongs to the thread that began it, and others are refused
    meanwhile: open the store once more for each thread that is to work by itself.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str],
        map_size: int = 10 * 1024**3,
        *,
        engine: Literal["wasmtime", "host"] = "wasmtime",
        create: bool = True,
        read_only: bool = False,
        durability: Durability = "sync",
        limits: Limits | None = None,
        clock: Callable[[], float] | None = None,
        component: bytes | None = None,
        program: str | os.PathLike[str] | None = None,
    ) -> None:
        if engine not in ("wasmtime", "host"):
            raise ValueError(f'engine is "wasmtime" or "host", not {engine!r}')
        if durability not in ("sync", "no-meta-sync", "no-sync"):
            raise ValueError(f'durability is "sync", "no-meta-sync" or "no-sync", not {durability!r}')
        if engine == "host" and (limits, clock, component) != (None, None, None):
            raise ValueError('limits, clock and component are for engine="wasmtime"')
        self.db_path = Path(db_path)

        def start() -> Engine:
            how = {"map_size": map_size, "create": create, "read_only": read_only, "durability": durability}
            if engine == "host":
                from ._host import HostEngine

                return HostEngine(self.db_path, program=program, **how)  # type: ignore[arg-type]
            from ._wasm import WasmEngine

            return WasmEngine(self.db_path, limits=limits, clock=clock, component=component, **how)  # type: ignore[arg-type]

        self._start_engine = start
        self._engine: Engine | None = start()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._start_engine()
        return self._engine

    def call(self, name: str, *arguments: Any) -> Any:
        return self._opened().call(name, arguments)

    def close(self) -> None:
        """Closes the store; an open batch is aborted. A later call opens it again, as FileTracker does."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> FileTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Not at the end of the interpreter, when what closing needs may be gone; the system closes files then.
        try:
            self.close()
        except Exception:
            pass

    @property
    def in_batch(self) -> bool:
        """True between `begin_batch` and its end."""
        return self._engine is not None and self._engine.in_batch

    def begin_batch(self) -> None:
        """Begins a batch: until `end_batch` all calls share one write transaction. Inside a batch it does nothing."""
        self.call("begin-batch")

    def end_batch(self) -> None:
        """Commits the batch. Raises a BatchAborted if an error has ended it: nothing of it was kept then."""
        self.call("end-batch")

    def abort_batch(self) -> None:
        """Discards the batch."""
        self.call("abort-batch")

    def batch(self) -> Batch:
        """`with tracker.batch():` commits at the end, and aborts on an exception."""
        return Batch(self)

    def get_db_stats(self) -> dict[str, int]:
        """Figures of the environment: map_size, last_pgno, last_txnid, page_size, entries, file_size, disk_usage,
        estimated_used and estimated_waste, sizes in bytes. `entries` is the number of tables."""
        return self._opened().stats()

    def compact(self, force: bool = False) -> dict[str, Any]:
        """Gives free pages back to the system, in one step, if they are more than a tenth of the file and 1 MiB, or
        if it is forced. Nobody else may have the store open.

        Returns success, bytes_before, bytes_after, bytes_reclaimed and skipped; the reason why it was
        skipped, or the error.
        """
        stats = self.get_db_stats()
        before, waste = stats["file_size"], stats["estimated_waste"]
        answer: dict[str, Any] = {"success": True, "bytes_before": before, "bytes_after": before, "bytes_reclaimed": 0}
        answer["skipped"] = not force and (waste <= 1 << 20 or waste * 10 <= before)
        if answer["skipped"]:
            return answer | {"reason": f"only {waste} of {before} bytes are free"}
        engine = self._opened()
        if engine.in_batch:
            return answer | {"success": False, "error": "the store cannot be compacted in a batch; end it first"}
        self._engine = None
        try:
            engine.compact()
        except TrackerError as error:
            return answer | {"success": False, "error": str(error)}
        after = self.get_db_stats()["file_size"]
        return answer | {"bytes_after": after, "bytes_reclaimed": before - after}
