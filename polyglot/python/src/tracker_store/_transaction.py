"""Transactions of an environment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import lmdb

from ._environment import MAX_KEY_SIZE, RESIZE_PATIENCE, Environment, StoreError, engine_error
from ._packed import CLEAR, DELETE, PUT, Op

Visitor = Callable[[bytes, bytes], bool]
"""Takes the entries of a scan; False ends it."""


class Transaction(Protocol):
    """A transaction. `tables` are numbers that the environment gave."""

    writable: bool

    def get(self, table: int, key: bytes) -> bytes | None: ...
    def scan(self, table: int, start: bytes, end: bytes, descending: bool, visit: Visitor) -> None: ...
    def count(self, table: int) -> int: ...
    def write(self, ops: list[Op]) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


def get_newest(environment: Environment, table: int, key: bytes) -> bytes | None:
    """The value of a key in the newest snapshot."""
    txn = environment.begin(write=False)
    try:
        return _get(txn, environment.tables[table], key)
    finally:
        txn.abort()
        environment.gate.leave()


def _get(txn: lmdb.Transaction[bytes], table: Any, key: bytes) -> bytes | None:
    if not 0 < len(key) <= MAX_KEY_SIZE:
        return None
    try:
        return txn.get(key, db=table)
    except lmdb.Error as error:
        raise engine_error("read the store", error) from error


def _scan(txn: lmdb.Transaction[bytes], table: Any, start: bytes, end: bytes, descending: bool, visit: Visitor) -> None:
    try:
        with txn.cursor(db=table) as cursor:
            entries: Iterable[tuple[bytes, bytes]]
            if descending:
                found = cursor.prev() if end and cursor.set_range(end) else cursor.last()
                entries = cursor.iterprev() if found else ()
                for key, value in entries:
                    if key < start or not visit(key, value):
                        return
            else:
                found = cursor.set_range(start) if start else cursor.first()
                entries = cursor.iternext() if found else ()
                for key, value in entries:
                    if (end and key >= end) or not visit(key, value):
                        return
    except lmdb.Error as error:
        raise engine_error("read the store", error) from error


class _Reads:
    """What every transaction reads with."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._txn: lmdb.Transaction[bytes] | None = None

    def _live(self) -> lmdb.Transaction[bytes]:
        """LMDB's transaction, while this one may be used."""
        if self._txn is None:
            raise StoreError.closed("the transaction is over")
        return self._txn

    def get(self, table: int, key: bytes) -> bytes | None:
        return _get(self._live(), self._environment.tables[table], key)

    def scan(self, table: int, start: bytes, end: bytes, descending: bool, visit: Visitor) -> None:
        _scan(self._live(), self._environment.tables[table], start, end, descending, visit)

    def count(self, table: int) -> int:
        return self._live().stat(self._environment.tables[table])["entries"]


class ReadTransaction(_Reads):
    """A snapshot."""

    writable = False

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._txn = environment.begin(write=False)

    def write(self, ops: list[Op]) -> None:
        raise StoreError("read-only", "a read transaction cannot write")

    def commit(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._txn is not None:
            self._txn.abort()
            self._txn = None
            self._environment.gate.leave()


class WriteTransaction(_Reads):
    """A write transaction. It keeps what was written, to write it again after the map had to grow."""

    writable = True

    def __init__(self, environment: Environment) -> None:
        if environment.settings.read_only:
            raise StoreError("read-only", "the store is open for reading only")
        super().__init__(environment)
        self._thread = threading.get_ident()
        self._log: list[list[Op]] = []
        self._writer = False
        environment.enter_writer()
        self._writer = True
        try:
            environment.make_room()
            self._txn = environment.begin(write=True)
            self._base = self._newest()
        except BaseException:
            self.abort()
            raise

    def _newest(self) -> int:
        """The number of the newest commit."""
        return self._environment.env.info()["last_txnid"]

    def _live(self) -> lmdb.Transaction[bytes]:
        if threading.get_ident() != self._thread:
            raise StoreError.closed("a write transaction can only be used on the thread that began it")
        return super()._live()

    def write(self, ops: list[Op]) -> None:
        txn = self._live()
        self._log.append(ops)
        try:
            self._apply(txn, ops)
        except lmdb.MapFullError:
            self._replay()
        except lmdb.Error as error:
            self.abort()
            raise engine_error("write to the store", error) from error

    def commit(self) -> None:
        while True:
            txn = self._live()
            try:
                txn.commit()
            except lmdb.MapFullError:
                self._replay()
                continue
            except lmdb.Error as error:
                self.abort()
                raise engine_error("commit", error) from error
            self._let_go()
            self._let_in()
            return

    def abort(self) -> None:
        if self._txn is not None:
            # LMDB's writer lock can be given back only by the thread that took it.
            self._live().abort()
            self._let_go()
        self._let_in()

    def _let_go(self) -> None:
        self._txn = None
        self._environment.gate.leave()

    def _let_in(self) -> None:
        """Lets the next writer in."""
        if self._writer:
            self._writer = False
            self._environment.gate.leave_writer()

    def _apply(self, txn: lmdb.Transaction[bytes], ops: list[Op]) -> None:
        tables = self._environment.tables
        for kind, table, key, value in ops:
            if kind == PUT:
                txn.put(key, value, db=tables[table])
            elif kind == DELETE:
                txn.delete(key, db=tables[table])
            elif kind == CLEAR:
                txn.drop(tables[table], delete=False)

    def _replay(self) -> None:
        """Grows the map and writes again what was written so far."""
        while True:
            # A commit that failed has ended the transaction: this only tells the object.
            self._live().abort()
            self._let_go()
            try:
                self._environment.grow(RESIZE_PATIENCE)
                self._txn = self._environment.begin(write=True)
                if self._newest() != self._base:
                    raise StoreError("conflict", "another writer was faster; run the transaction again")
                for ops in self._log:
                    self._apply(self._txn, ops)
                return
            except lmdb.MapFullError:
                continue
            except lmdb.Error as error:
                self.abort()
                raise engine_error("write to the store", error) from error
            except BaseException:
                self.abort()
                raise
