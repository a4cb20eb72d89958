"""What a `FileTracker` calls: the functions of `wit/tracker.wit` by name, in batches or one by one."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .errors import BatchAborted, TrackerError

STATS = (
    "map_size",
    "last_pgno",
    "last_txnid",
    "page_size",
    "entries",
    "file_size",
    "disk_usage",
    "estimated_used",
    "estimated_waste",
)
"""What `stats` tells."""


class Engine(ABC):
    """A session on a store. Threads take turns; a batch belongs to the thread that began it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._batch: threading.Thread | None = None
        self._aborted = False
        self._process = os.getpid()

    @abstractmethod
    def _run(self, name: str, arguments: Sequence[Any]) -> Any:
        """Makes a call. Raises a TrackerError if it failed."""

    @abstractmethod
    def _batch_is_open(self) -> bool:
        """Asked after an error in a batch: whether the batch can go on."""

    def _forget_batch(self) -> None:  # noqa: B027 (most have nothing to do)
        """The batch that an error has aborted was ended."""

    @abstractmethod
    def _end(self) -> None:
        """Ends the session; an open batch is aborted."""

    @abstractmethod
    def stats(self) -> dict[str, int]:
        """Figures of the environment."""

    @abstractmethod
    def _compact(self) -> None:
        """Gives free pages back. The session has ended."""

    @property
    def in_batch(self) -> bool:
        """True between `begin_batch` and its end, also after an error has aborted it."""
        return self._batch is not None

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Calls a function. Values are as in `FileTracker.call`."""
        with self._turn:
            self._may_call()
            if name == "begin-batch":
                return self._begin()
            if name == "abort-batch":
                return self._abort()
            if self._aborted:
                if name == "end-batch":
                    self._over()
                    self._forget_batch()
                raise BatchAborted
            try:
                return self._run(name, arguments)
            except BaseException:
                self._aborted = self._batch is not None and not self._batch_is_open()
                raise
            finally:
                if name == "end-batch":
                    self._over()

    def _begin(self) -> None:
        if self._aborted:
            raise BatchAborted
        self._run("begin-batch", ())
        if self._batch is None:
            self._batch = threading.current_thread()

    def _abort(self) -> None:
        aborted = self._aborted
        self._over()
        if aborted:
            self._forget_batch()
        else:
            self._run("abort-batch", ())

    def _over(self) -> None:
        self._batch, self._aborted = None, False

    def _may_call(self) -> None:
        if self._process != os.getpid():
            raise TrackerError(
                "other", "the tracker was opened before this process was forked; open it again in this one"
            )
        if self._batch is not None and self._batch is not threading.current_thread():
            raise TrackerError(
                "other", "another thread has a batch open on this tracker; open the store again to work beside it"
            )

    def compact(self) -> None:
        """Ends the session and gives the store's free pages back. Nobody else may have it open."""
        with self._turn:
            self._may_call()
            self._end()
            self._compact()

    def close(self) -> None:
        """Ends the session; an open batch is aborted. Does nothing in a process that was forked."""
        if self._process != os.getpid():
            return
        with self._turn:
            self._may_call()
            self._over()
            self._end()
