"""Reads a store with py-lmdb and msgpack and compares it with its SQLite source.

usage: layout.py STORE DATABASE
"""

import sqlite3
import sys
from dataclasses import dataclass

import lmdb
import msgpack


@dataclass
class FileRecord:
    path: str
    mtime: float
    size: int
    content_hash: str
    blob_offset: int
    blob_length: int
    key_hash: int
    indexed_at: float
    vector_offset: int | None = None
    vector_length: int | None = None
    detected_contexts: str | None = None


def main(store: str, database: str) -> None:
    env = lmdb.open(store, max_dbs=128, readonly=True, lock=False)
    source = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    source.row_factory = sqlite3.Row
    with env.begin() as txn:
        files = env.open_db(b"files", txn=txn, create=False)
        records = [FileRecord(**msgpack.unpackb(value)) for _, value in txn.cursor(db=files)]
        rows = {row["path"]: row for row in source.execute("SELECT * FROM files")}
        assert len(records) == len(rows) > 0
        for record in records:
            row = dict(rows[record.path])
            row["key_hash"] %= 2**64
            assert vars(record) == row, record
        plain = "/home/dev/project/src/back\\slash.py"
        assert msgpack.unpackb(txn.get(plain.encode(), db=files))["path"] == plain
        metadata = env.open_db(b"metadata", txn=txn, create=False)
        for row in source.execute("SELECT * FROM metadata"):
            if 0 < len(row["key"].encode()) < 512:
                assert txn.get(row["key"].encode(), db=metadata).decode() == row["value"]


if __name__ == "__main__":
    main(*sys.argv[1:])
