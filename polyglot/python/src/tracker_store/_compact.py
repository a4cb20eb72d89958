"""Exchanging a store's data file for a compact copy, in one step, while nobody has it open."""

from __future__ import annotations

import os
from pathlib import Path

import lmdb

from .errors import OpenError


def compact(store: Path) -> None:
    """Gives the free pages back. Raises an OpenError, and leaves the store as it is, if somebody has it open.

    The lock is the one that every LMDB takes on the first byte of the lock file: nobody can
    open the store meanwhile. What waits for it finds a lock file that fits the new data file.
    """
    # Unix alone has it; the rest of the package does without.
    import fcntl

    copy = store / f".compact-{os.getpid()}.tmp"
    with open(store / "lock.mdb", "a+b") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except OSError as error:
            raise OpenError(f"{store} is open in another program; end it and try again") from error
        try:
            with lmdb.open(str(store), readonly=True, lock=False, lib_version=0) as env, open(copy, "xb") as file:
                env.copyfd(file.fileno(), compact=True)
                os.fsync(file.fileno())
            os.chmod(copy, (store / "data.mdb").stat().st_mode)
            os.replace(copy, store / "data.mdb")
            _sync(store)
        except (lmdb.Error, OSError) as error:
            raise OpenError(f"cannot compact the store at {store}: {error}") from error
        finally:
            copy.unlink(missing_ok=True)
            # Sets the lock file up anew, as the first to open a store does.
            lmdb.open(str(store), max_dbs=1, lib_version=0).close()


def _sync(folder: Path) -> None:
    """Makes sure that a name is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
