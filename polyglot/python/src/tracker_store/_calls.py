"""What the parts of `FileTracker` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from .records import Builder, R

_ALL_AT_ONCE = 1000
"""Records a page where the caller wants no pages."""


class Calls(ABC):
    """Calls of the interface by name."""

    @abstractmethod
    def call(self, name: str, *arguments: Any) -> Any:
        """Calls any function of `wit/tracker.wit` by its name, for instance `call("count-rows", "file")`.

        Records are dictionaries with the interface's names, variants `{case: payload}` or the
        case, options None or the value, cursors bytes.
        """

    def _record(self, build: Builder[R], name: str, *arguments: Any) -> R | None:
        answer = self.call(name, *arguments)
        return None if answer is None else build(answer)

    def _records(self, build: Builder[R], name: str, *arguments: Any) -> list[R]:
        return [build(answer) for answer in self.call(name, *arguments)]

    def _pages(self, name: str, before: tuple[Any, ...], batch_size: int) -> Iterator[Any]:
        """The items of a paged list. A record that is there throughout comes exactly once."""
        if batch_size == 0:
            return
        size = batch_size if batch_size > 0 else _ALL_AT_ONCE
        after = None
        while True:
            page = self.call(name, *before, after, size)
            yield from page["items"]
            after = page["next"]
            if after is None:
                return
