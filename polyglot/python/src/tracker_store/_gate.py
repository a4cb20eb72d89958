"""Who may have transactions of an environment in this process: many readers, one writer, or one resize."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Refused(Exception):
    """Waiting would never end; the text says why."""


class Gate:
    """Counts the transactions of an environment: LMDB can resize its map only while there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._transactions = 0
        self._resizes = 0
        self._writer: threading.Thread | None = None

    def enter(self) -> None:
        """Lets a transaction begin; waits for a resize, so that busy readers do not keep it off for ever."""
        with self._changed:
            while self._resizes:
                self._changed.wait()
            self._transactions += 1

    def leave(self) -> None:
        """A transaction has ended."""
        with self._changed:
            self._transactions -= 1
            if self._resizes:
                self._changed.notify_all()

    def enter_writer(self) -> None:
        """Lets this thread write, once the writer before it has ended."""
        this = threading.current_thread()
        with self._changed:
            while (writer := self._writer) is not None:
                if writer is this:
                    raise Refused("this thread has a write transaction on this store already; end the batch first")
                if not writer.is_alive():
                    raise Refused(
                        "a thread ended in the middle of a batch, which nobody can end now; restart the process"
                    )
                self._changed.wait(1.0)
            self._writer = this

    def leave_writer(self) -> None:
        """The write transaction has ended."""
        with self._changed:
            self._writer = None
            self._changed.notify_all()

    def resize(self, patience: float, run: Callable[[], T]) -> T | None:
        """Runs something while there is no transaction; None if one stayed open for so many seconds."""
        until = time.monotonic() + patience
        with self._changed:
            self._resizes += 1
            try:
                while self._transactions:
                    left = until - time.monotonic()
                    if left <= 0:
                        return None
                    self._changed.wait(left)
                return run()
            finally:
                self._resizes -= 1
                self._changed.notify_all()
