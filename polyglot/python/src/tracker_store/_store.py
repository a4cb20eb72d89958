"""The store interface of `wit/store.wit` over an environment: transactions as resources, limits, errors and traps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ._environment import MAX_KEY_SIZE, Environment, StoreError
from ._packed import CLEAR, PUT, Malformed, Op, entry, keys, ops, value
from ._transaction import ReadTransaction, Transaction, WriteTransaction, get_newest
from .limits import Limits

INTERFACE = "galaxybrain:tracker/store@0.1.0"

_LONG_WAIT = 0.001
"""A shorter wait for another writer is the cost of a transaction. In seconds."""


class Trap(Exception):
    """What only a broken component can do: it ends the instance."""


def _not_found() -> StoreError:
    return StoreError("not-found", "no entry has this key")


class _Open:
    """An open transaction of an instance."""

    __slots__ = ("inner", "over", "written")

    def __init__(self, inner: Transaction) -> None:
        self.inner = inner
        self.over = False
        self.written = 0


class StoreContext:
    """The store of one instance of the component. Its functions raise a StoreError to answer an error, a Trap to trap."""

    def __init__(self, environment: Environment, limits: Limits, waited: Callable[[], None]) -> None:
        self.environment = environment
        self.limits = limits
        self.transactions: dict[int, _Open] = {}
        self._waited = waited
        self._next = 1
        self._tables: list[int | None] | None = None
        self.functions: dict[str, Callable[..., Any]] = {
            "open": self.open,
            "get": self.get_newest,
            "[static]transaction.begin": self.begin,
            "[method]transaction.get": self.get,
            "[method]transaction.get-many": self.get_many,
            "[method]transaction.scan": self.scan,
            "[method]transaction.count": self.count,
            "[method]transaction.write": self.write,
            "[static]transaction.commit": self.commit,
        }

    def abort_all(self) -> None:
        """Aborts the instance's transactions."""
        while self.transactions:
            self.transactions.popitem()[1].inner.abort()

    def _table(self, number: int) -> int | None:
        """An environment's table; None if it is missing in a read-only store."""
        if self._tables is None or number >= len(self._tables):
            raise Trap(f"table {number} was not opened")
        return self._tables[number]

    def _usable(self, handle: int) -> _Open:
        found = self.transactions.get(handle)
        if found is None:
            raise Trap("a transaction was used that was dropped")
        if found.over:
            raise StoreError.closed("the transaction was ended by an error")
        return found

    def open(self, names: list[str]) -> None:
        if self._tables is not None:
            raise Trap("open was called twice")
        if not 0 < len(names) <= self.limits.tables:
            raise Trap(f"{len(names)} tables were asked for; the limit is {self.limits.tables}")
        self._tables = self.environment.open_tables(names)

    def get_newest(self, table: int, key: bytes) -> bytes:
        number = self._table(table)
        found = None if number is None else get_newest(self.environment, number, key)
        if found is None:
            raise _not_found()
        return found

    def begin(self, access: str) -> int:
        limit = self.limits.transactions
        if len(self.transactions) >= limit:
            raise StoreError({"too-many-transactions": limit}, f"the limit is {limit} transactions")
        inner: Transaction
        if access == "write":
            asked = time.monotonic()
            inner = WriteTransaction(self.environment)
            if time.monotonic() - asked >= _LONG_WAIT:
                self._waited()
        else:
            inner = ReadTransaction(self.environment)
        handle = self._next
        self._next += 1
        self.transactions[handle] = _Open(inner)
        return handle

    def get(self, handle: int, table: int, key: bytes) -> bytes:
        number = self._table(table)
        transaction = self._usable(handle)
        found = None if number is None else transaction.inner.get(number, key)
        if found is None:
            raise _not_found()
        return found

    def get_many(self, handle: int, table: int, packed: bytes) -> bytes:
        number = self._table(table)
        inner = self._usable(handle).inner
        parts: list[bytes] = []
        length = 0
        for key in _parsed(lambda: list(keys(packed))):
            part = value(None if number is None else inner.get(number, key))
            parts.append(part)
            length += len(part)
            if length >= self.limits.scan_bytes:
                break
        return b"".join(parts)

    def scan(
        self, handle: int, table: int, start: bytes, end: bytes, direction: str, max_entries: int, max_bytes: int
    ) -> dict[str, Any]:
        number = self._table(table)
        inner = self._usable(handle).inner
        most_entries = max(1, min(max_entries, self.limits.scan_entries))
        most_bytes = max(1, min(max_bytes, self.limits.scan_bytes))
        parts: list[bytes] = []
        length = 0
        done = True

        def visit(key: bytes, found: bytes) -> bool:
            nonlocal length, done
            if len(parts) == most_entries or (parts and length + len(key) + len(found) > most_bytes):
                done = False
                return False
            part = entry(key, found)
            parts.append(part)
            length += len(part)
            return True

        if number is not None:
            inner.scan(number, start, end, direction == "descending", visit)
        return {"entries": b"".join(parts), "done": done}

    def count(self, handle: int, table: int) -> int:
        number = self._table(table)
        return 0 if number is None else self._usable(handle).inner.count(number)

    def write(self, handle: int, packed: bytes) -> None:
        found = self.transactions.get(handle)
        if found is None or not found.inner.writable:
            raise Trap("a transaction was written to that was dropped or only reads")
        transaction = self._usable(handle)
        checked = self._check(_parsed(lambda: ops(packed)))
        transaction.written += len(packed)
        limit = self.limits.transaction_bytes
        try:
            if transaction.written > limit:
                raise StoreError.other(f"the transaction writes more than {limit} bytes; write less at a time")
            transaction.inner.write(checked)
        except BaseException:
            transaction.over = True
            raise

    def _check(self, given: list[Op]) -> list[Op]:
        """Checks all operations before any is applied, and names the environment's tables in them."""
        numbers = [self._table(op.table) for op in given]
        for op in given:
            if op.kind == CLEAR:
                continue
            if not 0 < len(op.key) <= MAX_KEY_SIZE:
                raise StoreError(
                    {"key-size": MAX_KEY_SIZE}, f"a key has {len(op.key)} bytes; the store takes 1 to {MAX_KEY_SIZE}"
                )
            if op.kind == PUT and len(op.value) > self.limits.value_size:
                limit = self.limits.value_size
                raise StoreError({"value-too-large": limit}, f"a value has {len(op.value)} bytes; the limit is {limit}")
        checked = []
        for op, number in zip(given, numbers, strict=True):
            if number is None:
                raise StoreError("read-only", "the store is open for reading only")
            checked.append(op._replace(table=number))
        return checked

    def commit(self, handle: int) -> None:
        transaction = self.transactions.pop(handle, None)
        if transaction is None:
            raise Trap("a transaction was committed that was dropped")
        if transaction.over:
            transaction.inner.abort()
            raise StoreError.closed("the transaction was ended by an error")
        transaction.inner.commit()

    def dropped(self, handle: int) -> None:
        """The component has dropped a handle."""
        transaction = self.transactions.pop(handle, None)
        if transaction is not None:
            transaction.inner.abort()


def _parsed(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Malformed as malformed:
        raise Trap(str(malformed)) from None
