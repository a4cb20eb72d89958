"""The LMDB environment of a store, with py-lmdb.

The file is that of the native host, byte for byte. The lock file is not: the
LMDB 0.9.36 in py-lmdb and the LMDB in the native host lay it out differently,
and each refuses to open an environment that the other has open. Processes that
use this package share a store among each other.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from ._gate import Gate, Refused
from .errors import OpenError

MAX_KEY_SIZE = 511
"""The longest key, in bytes."""
MAX_TABLES = 64
_MAX_READERS = 126
_PAGE = 64 << 10
"""Maps are made of the system's pages, which are no larger than this."""
RESIZE_PATIENCE = 10.0
"""How long a resize waits for the transactions of this process, in seconds."""


class StoreError(Exception):
    """What the component is told: a case of `error` in `wit/store.wit`, with its payload if it has one."""

    def __init__(self, payload: str | dict[str, Any], message: str) -> None:
        super().__init__(message)
        self.payload = payload

    @classmethod
    def other(cls, message: str) -> StoreError:
        """Something that no other case fits."""
        return cls({"other": message}, message)

    @classmethod
    def closed(cls, message: str) -> StoreError:
        """The transaction is over."""
        return cls("closed", message)


def engine_error(doing: str, error: lmdb.Error) -> StoreError:
    """Sorts LMDB's errors into the cases that a caller can act on."""
    text = f"cannot {doing}: {error}"
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.InvalidError)):
        return StoreError({"corrupted": str(error)}, text)
    if isinstance(error, lmdb.ReadersFullError):
        return StoreError.other("too many read transactions are open over all processes; end some")
    return StoreError.other(text)


@dataclass(frozen=True)
class Settings:
    """How an environment is opened."""

    read_only: bool = False
    durability: str = "sync"
    map_size: int = 16 << 20
    """The map's size at first, in bytes."""
    max_map_size: int = 64 << 30
    """What the map may grow to, in bytes."""

    def agrees_with(self, other: Settings) -> bool:
        """True if an environment that is open in this way does for the other."""
        mine = (self.read_only, self.durability, self.max_map_size)
        return mine == (other.read_only, other.durability, other.max_map_size)


class Environment:
    """An environment that is open in this process. LMDB forbids to open one twice, so users share it."""

    def __init__(self, path: str, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.gate = Gate()
        self.users = 1
        self.process = os.getpid()
        self.tables: list[Any] = []
        self._names: dict[str, int] = {}
        self._naming = threading.Lock()
        self.env = _open(path, settings)

    def release(self) -> None:
        """One user less; the last one closes it."""
        with _opening:
            self.users -= 1
            if self.users == 0 and self.process == os.getpid():
                del _open_here[self.path]
                self.env.close()

    def open_tables(self, names: list[str]) -> list[int | None]:
        """The tables' numbers, creating those that are missing; None for what a read-only environment has not."""
        for name in names:
            if not name or "\0" in name or len(name.encode()) > MAX_KEY_SIZE:
                raise StoreError.other(f"{name!r} cannot be the name of a table")
        with self._naming:
            if any(name not in self._names for name in names):
                if self.settings.read_only:
                    self._find(names)
                else:
                    self._find_or_create(names)
            return [self._names.get(name) for name in names]

    def _keep(self, opened: Iterable[tuple[str, Any]]) -> None:
        for name, table in opened:
            if name not in self._names:
                self._names[name] = len(self.tables)
                self.tables.append(table)

    def _owned(self, names: list[str], found: Iterable[tuple[str, Any]], entries: int) -> None:
        """The first table names the owner of an environment that holds anything."""
        if entries and names[0] not in self._names and all(name != names[0] for name, _ in found):
            raise StoreError("foreign", f"the environment has tables, but none called {names[0]!r}: it was left alone")

    def _find(self, names: list[str]) -> None:
        """Opens those of the tables that are there, for reading only."""
        found: list[tuple[str, Any]] = []
        self.begin(write=False).abort()
        try:
            for name in names:
                try:
                    found.append((name, self.env.open_db(name.encode(), create=False)))
                except lmdb.NotFoundError:
                    pass
            entries = self.env.stat()["entries"]
        except lmdb.Error as error:
            raise engine_error("open the tables", error) from error
        finally:
            self.gate.leave()
        self._owned(names, found, entries)
        self._keep(found)

    def _find_or_create(self, names: list[str]) -> None:
        """Opens the tables and creates those that are missing.

        py-lmdb keeps what was opened in a write transaction alone: the first to open a store in
        a process waits for its writer. A transaction that has created nothing writes nothing.
        """
        self.enter_writer()
        try:
            while True:
                txn = self.begin(write=True)
                try:
                    found: list[tuple[str, Any]] = []
                    missing: list[str] = []
                    entries = txn.stat(self.env.open_db(None, txn=txn))["entries"]
                    for name in names:
                        try:
                            found.append((name, self.env.open_db(name.encode(), txn=txn, create=False)))
                        except lmdb.NotFoundError:
                            missing.append(name)
                    self._owned(names, found, entries)
                    found.extend((name, self.env.open_db(name.encode(), txn=txn)) for name in missing)
                    txn.commit()
                    self._keep(found)
                    return
                except lmdb.MapFullError:
                    txn.abort()
                except lmdb.Error as error:
                    txn.abort()
                    raise engine_error("open the tables", error) from error
                except BaseException:
                    txn.abort()
                    raise
                finally:
                    self.gate.leave()
                self.grow(RESIZE_PATIENCE)
        finally:
            self.gate.leave_writer()

    def enter_writer(self) -> None:
        """Lets this thread write, once the writer before it in this process has ended."""
        try:
            self.gate.enter_writer()
        except Refused as refused:
            raise StoreError.closed(str(refused)) from None

    def begin(self, *, write: bool) -> lmdb.Transaction[bytes]:
        """Begins a transaction, growing the map first if another process has. Its end is told to the gate."""
        while True:
            self.gate.enter()
            try:
                return self.env.begin(write=write)
            except lmdb.MapResizedError:
                self.gate.leave()
            except lmdb.Error as error:
                self.gate.leave()
                raise engine_error("begin a transaction", error) from error
            except BaseException:
                self.gate.leave()
                raise
            self._set_map_size(0, RESIZE_PATIENCE)

    def _resize(self, size: int) -> bool:
        self.env.set_mapsize(size)
        return True

    def _set_map_size(self, size: int, patience: float) -> None:
        try:
            done = self.gate.resize(patience, lambda: self._resize(size))
        except lmdb.Error as error:
            raise engine_error("resize the map", error) from error
        if done is None:
            raise StoreError.other("the map must grow, but a transaction of this process stayed open; end it sooner")

    def grow(self, patience: float) -> None:
        """Doubles the map, up to the maximum. The caller has no transaction."""
        most = self.settings.max_map_size // _PAGE * _PAGE
        now = self.env.info()["map_size"]
        if now >= most:
            raise StoreError("map-full", f"the store has reached its maximum size of {most} bytes")
        self._set_map_size(min(now * 2, most), patience)

    def stats(self) -> dict[str, int]:
        """Figures of the environment; sizes in bytes."""
        file = os.stat(os.path.join(self.path, "data.mdb"))
        info = self.env.info()
        txn = self.begin(write=False)
        try:
            main = txn.stat()
            trees = [main, *(txn.stat(table) for table in self.tables)]
        finally:
            txn.abort()
            self.gate.leave()
        pages = sum(tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"] for tree in trees)
        # Two pages say which commit is the newest.
        used = (pages + 2) * main["psize"]
        return {
            "map_size": info["map_size"],
            "last_pgno": info["last_pgno"],
            "last_txnid": info["last_txnid"],
            "page_size": main["psize"],
            "entries": main["entries"],
            "file_size": file.st_size,
            "disk_usage": file.st_blocks * 512,
            "estimated_used": used,
            "estimated_waste": max(0, file.st_size - used),
        }

    def make_room(self) -> None:
        """Grows the map before a write transaction if it is more than half full, so that few of them meet its end."""
        info = self.env.info()
        used = (info["last_pgno"] + 1) * self.env.stat()["psize"]
        if used * 2 <= info["map_size"] or info["map_size"] >= self.settings.max_map_size // _PAGE * _PAGE:
            return
        try:
            self.grow(0.0)
        except StoreError:
            # Somebody reads; there is room still, and the transaction grows the map if it must.
            pass


_open_here: dict[str, Environment] = {}
_opening = threading.Lock()


def open_environment(path: Path, settings: Settings, *, create: bool) -> Environment:
    """Opens the environment in a directory, or shares the one that is open. Raises an OpenError."""
    real = _prepare(path, create=create and not settings.read_only)
    with _opening:
        known = _open_here.get(real)
        if known is not None and known.process == os.getpid():
            if not known.settings.agrees_with(settings):
                raise OpenError(f"{path} is open in this process with other options; use the same or close it first")
            known.users += 1
            return known
        environment = Environment(real, settings)
        _open_here[real] = environment
        return environment


def _prepare(path: Path, *, create: bool) -> str:
    """Checks the directory, and creates it where that is wanted."""
    missing = OpenError(
        f"there is no store at {path}; check the path, or create one with `host migrate` or `host track`"
    )
    try:
        if not path.exists():
            if not create:
                raise missing
            path.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            raise OpenError(
                f"{path} is a file; a store is a directory (`host migrate` takes a database of the SQLite FileTracker over)"
            )
        data = path / "data.mdb"
        if data.exists():
            _check_header(data)
        # A lock file alone is what a crash at creation leaves.
        elif any(entry.name != "lock.mdb" for entry in path.iterdir()):
            raise OpenError(f"{path} is not empty and holds no store; give an empty or new directory")
        elif not create:
            raise missing
        return str(path.resolve())
    except OSError as error:
        raise OpenError(f"cannot open the store at {path}: {error}") from error


def _check_header(data: Path) -> None:
    """Looks at the first meta page before LMDB does, which creates its lock file first and says less."""
    with data.open("rb") as file:
        head = file.read(24)
    if head and (len(head) < 24 or struct.unpack("=II", head[16:24]) != (0xBEEF_C0DE, 1)):
        raise OpenError(
            f"{data} is not an LMDB environment of data version 1, or it is damaged; restore it from a backup"
        )


def _open(path: str, settings: Settings) -> lmdb.Environment:
    data = os.path.join(path, "data.mdb")
    length = os.path.getsize(data) if os.path.exists(data) else 0
    size = -(-max(settings.map_size, length) // _PAGE) * _PAGE
    try:
        env = lmdb.open(
            path,
            map_size=size,
            max_dbs=MAX_TABLES,
            max_readers=_MAX_READERS,
            readonly=settings.read_only,
            metasync=settings.durability == "sync",
            sync=settings.durability != "no-sync",
            # LMDB 1.0, which py-lmdb has as well, writes another data version.
            lib_version=0,
            # Without a lock file nobody has it open, and reading must not create one.
            lock=not settings.read_only or os.path.exists(os.path.join(path, "lock.mdb")),
        )
    except lmdb.VersionMismatchError as error:
        # The data file's version was looked at before: it is the lock file's.
        raise OpenError(
            f"{path} is open in a program with another version of LMDB, for instance `host`; end it and try again, or use "
            'engine="host": the two versions cannot share a store, only take turns'
        ) from error
    except (lmdb.Error, OSError) as error:
        raise OpenError(f"cannot open the store at {path}: {error}") from error
    if not settings.read_only:
        # Slots of processes that died.
        env.reader_check()
    return env
