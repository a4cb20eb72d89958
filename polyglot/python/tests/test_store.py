"""The store interface over py-lmdb: an ordered map, its limits, its errors, its growth."""

from __future__ import annotations

import itertools
import random
import struct
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import pytest
from support import LONG, figure, run_python, verified

from tracker_store import FileTracker, Limits, OpenError, TrackerError, Trapped
from tracker_store._component import runtime
from tracker_store._environment import Environment, Settings, StoreError, open_environment
from tracker_store._store import StoreContext, Trap
from tracker_store._wasm import WasmEngine


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    found = open_environment(tmp_path / "store", Settings(durability="no-sync"), create=True)
    yield found
    found.release()


@pytest.fixture
def context(environment: Environment) -> Iterator[StoreContext]:
    limits = Limits(
        transactions=3, scan_entries=10, scan_bytes=1000, value_size=5000, transaction_bytes=20_000, tables=4
    )
    found = StoreContext(environment, limits, lambda: None)
    found.open(["owner", "other"])
    yield found
    found.abort_all()


def put(key: bytes, value: bytes, table: int = 0) -> bytes:
    return struct.pack("<BHII", 0, table, len(key), len(value)) + key + value


def delete(key: bytes, table: int = 0) -> bytes:
    return struct.pack("<BHII", 1, table, len(key), 0) + key


def clear(table: int = 0) -> bytes:
    return struct.pack("<BHII", 2, table, 0, 0)


def write(context: StoreContext, ops: bytes) -> None:
    handle = context.begin("write")
    context.write(handle, ops)
    context.commit(handle)


def packed_keys(*keys: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(key)) + key for key in keys)


def values(packed: bytes) -> list[bytes | None]:
    found: list[bytes | None] = []
    while packed:
        (length,) = struct.unpack_from("<I", packed)
        packed = packed[4:]
        found.append(None if length == 0xFFFF_FFFF else packed[:length])
        packed = packed if length == 0xFFFF_FFFF else packed[length:]
    return found


def entries(packed: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    while packed:
        key, value = struct.unpack_from("<II", packed)
        found.append((packed[8 : 8 + key], packed[8 + key : 8 + key + value]))
        packed = packed[8 + key + value :]
    return found


def scan_all(context: StoreContext, handle: int, table: int, start: bytes, end: bytes, down: bool) -> Any:
    """All entries of a range, over as many pages as there are."""
    found: list[tuple[bytes, bytes]] = []
    while True:
        page = context.scan(handle, table, start, end, "descending" if down else "ascending", 7, 300)
        items = entries(page["entries"])
        found += items
        if page["done"]:
            return found
        assert items
        if down:
            end = items[-1][0]
        else:
            start = items[-1][0] + b"\0"


def test_it_does_what_a_sorted_list_does(context: StoreContext) -> None:
    """Random writes, scans both ways, aborts, clears and old snapshots, beside a dictionary."""
    chance = random.Random(5)
    model: list[dict[bytes, bytes]] = [{}, {}]

    def some_key() -> bytes:
        return bytes(chance.choice(b"\0a\xff") for _ in range(chance.randint(1, 4)))

    def check(handle: int, table: int, expected: dict[bytes, bytes]) -> None:
        keys: list[bytes] = []
        for key in expected:
            insort(keys, key)
        start, end = chance.choice([b"", some_key()]), chance.choice([b"", some_key()])
        inside = [key for key in keys[bisect_left(keys, start) :] if not end or key < end]
        everything = [(key, expected[key]) for key in inside]
        assert scan_all(context, handle, table, start, end, down=False) == everything
        assert scan_all(context, handle, table, start, end, down=True) == everything[::-1]
        assert context.count(handle, table) == len(expected)
        asked = [some_key() for _ in range(5)]
        assert values(context.get_many(handle, table, packed_keys(*asked))) == [expected.get(key) for key in asked]

    rounds = 2000 if LONG else 150
    for _ in range(rounds):
        old, kept = context.begin("read"), [dict(table) for table in model]
        handle = context.begin("write")
        changed = [dict(table) for table in model]
        for _ in range(chance.randint(1, 3)):
            ops = b""
            for _ in range(chance.randint(0, 8)):
                table, key = chance.randint(0, 1), some_key()
                if chance.random() < 0.6:
                    changed[table][key] = chance.randbytes(chance.choice([0, 3, 200]))
                    ops += put(key, changed[table][key], table)
                elif chance.random() < 0.95:
                    changed[table].pop(key, None)
                    ops += delete(key, table)
                else:
                    changed[table].clear()
                    ops += clear(table)
            context.write(handle, ops)
            check(handle, 0, changed[0])
            check(handle, 1, changed[1])
        if chance.random() < 0.3:
            context.dropped(handle)
        else:
            context.commit(handle)
            model = changed
        for table in (0, 1):
            check(old, table, kept[table])
        context.dropped(old)
        newest = context.begin("read")
        check(newest, 0, model[0])
        context.commit(newest)
        assert not context.transactions
    figure("rounds of random writes over py-lmdb", rounds)


def test_pages_are_clamped_and_never_empty_before_the_end(context: StoreContext) -> None:
    write(context, b"".join(put(bytes([number]), b"v" * 100) for number in range(30)))
    handle = context.begin("read")

    def page(entries_: int, bytes_: int) -> tuple[int, bool]:
        found = context.scan(handle, 0, b"", b"", "ascending", entries_, bytes_)
        return len(entries(found["entries"])), found["done"]

    assert page(0, 0) == (1, False)
    assert page(3, 2**32 - 1) == (3, False)
    assert page(2**32 - 1, 250) == (2, False)
    # The host's own clamps: ten entries, a thousand bytes.
    assert page(2**32 - 1, 2**32 - 1) == (9, False)
    assert context.scan(handle, 1, b"", b"", "ascending", 9, 9) == {"entries": b"", "done": True}
    keys = packed_keys(*(bytes([number]) for number in range(30)))
    assert len(values(context.get_many(handle, 0, keys))) == 10
    write(context, put(b"large", b"v" * 4000))
    newest = context.begin("read")
    assert values(context.get_many(newest, 0, packed_keys(b"large", b"\0"))) == [b"v" * 4000]
    assert context.get_many(newest, 0, b"") == b""
    found = context.scan(newest, 0, b"large", b"", "ascending", 5, 1)
    assert entries(found["entries"]) == [(b"large", b"v" * 4000)]
    assert found["done"]


def test_errors_are_answered_and_leave_the_transaction_as_it_was(context: StoreContext) -> None:
    handle = context.begin("write")

    def refused(run: Callable[[], object]) -> Any:
        with pytest.raises(StoreError) as raised:
            run()
        return raised.value.payload

    for key in (b"", b"k" * 512):
        for ops in (put(b"a", b"1") + put(key, b""), put(b"a", b"1") + delete(key)):
            assert refused(partial(context.write, handle, ops)) == {"key-size": 511}
        assert refused(partial(context.get, handle, 0, key)) == "not-found"
    large = put(b"a", b"v" * 5001)
    assert refused(lambda: context.write(handle, put(b"a", b"1") + large)) == {"value-too-large": 5000}
    assert refused(lambda: context.get(handle, 0, b"a")) == "not-found"
    assert refused(lambda: context.get_newest(0, b"a")) == "not-found"
    context.write(handle, put(b"k" * 511, b"v" * 5000))
    assert refused(lambda: context.begin("write")) == "closed"
    readers = [context.begin("read"), context.begin("read")]
    assert refused(lambda: context.begin("read")) == {"too-many-transactions": 3}
    for reader in readers:
        context.dropped(reader)
    for _ in range(2):
        context.write(handle, put(b"b", b"v" * 5000))
    assert "more than 20000 bytes" in refused(lambda: context.write(handle, put(b"c", b"v" * 5000)))["other"]
    # That one ended it.
    assert refused(lambda: context.write(handle, put(b"c", b"1"))) == "closed"
    assert refused(lambda: context.get(handle, 0, b"b")) == "closed"
    assert refused(lambda: context.commit(handle)) == "closed"
    assert refused(lambda: context.get_newest(0, b"b")) == "not-found"


def test_what_only_a_broken_component_does_is_a_trap(context: StoreContext, environment: Environment) -> None:
    reader, writer = context.begin("read"), context.begin("write")
    broken: list[Callable[[], object]] = [
        lambda: context.open(["owner"]),
        lambda: context.get(reader, 2, b"a"),
        lambda: context.get_newest(2, b"a"),
        lambda: context.scan(reader, 7, b"", b"", "ascending", 1, 1),
        lambda: context.get(99, 0, b"a"),
        lambda: context.write(reader, put(b"a", b"1")),
        lambda: context.write(99, put(b"a", b"1")),
        lambda: context.commit(99),
        lambda: context.get_many(reader, 0, b"\1\0\0"),
        lambda: context.get_many(reader, 0, b"\5\0\0\0abcd"),
        lambda: context.write(writer, put(b"a", b"1", table=2)),
        lambda: context.write(writer, put(b"a", b"1")[:-1]),
        lambda: context.write(writer, put(b"a", b"1") + b"\0"),
        lambda: context.write(writer, struct.pack("<BHII", 3, 0, 0, 0)),
        lambda: context.write(writer, struct.pack("<BHII", 1, 0, 1, 1) + b"kv"),
        lambda: context.write(writer, struct.pack("<BHII", 2, 0, 1, 0) + b"k"),
        lambda: StoreContext(environment, context.limits, lambda: None).open([]),
        lambda: StoreContext(environment, context.limits, lambda: None).open(["a", "b", "c", "d", "e"]),
        lambda: StoreContext(environment, context.limits, lambda: None).get_newest(0, b"a"),
    ]
    for number, run in enumerate(broken):
        try:
            run()
        except Trap:
            continue
        raise AssertionError(f"number {number} did not trap")
    # Nothing of it was written.
    assert context.count(writer, 0) == 0


def test_the_component_imports_what_is_here(context: StoreContext) -> None:
    imported = {
        name for interface, name in (found._of for found in runtime()._imports) if interface.endswith("/store@0.1.0")
    }
    assert imported == set(context.functions)


def test_an_environment_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "store"), max_dbs=2, lib_version=0) as env, env.begin(write=True) as txn:
        txn.put(b"k", b"v", db=env.open_db(b"theirs", txn=txn))
    before = (tmp_path / "store" / "data.mdb").read_bytes()
    with FileTracker(tmp_path / "store") as tracker:
        for _ in range(2):
            with pytest.raises(TrackerError) as raised:
                tracker.file_count()
            assert raised.value.case == "foreign"
    assert (tmp_path / "store" / "data.mdb").read_bytes() == before


def test_what_is_no_store_is_refused_and_left_alone(engine: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("text")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data.mdb").write_bytes(b"x" * 20_000)
    for name, text in (("file", "is a file"), ("full", "holds no store"), ("other", "not an LMDB environment")):
        with pytest.raises(OpenError, match=text):
            FileTracker(tmp_path / name, engine=engine)  # type: ignore[arg-type]
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(OpenError, match="there is no store"):
            FileTracker(tmp_path / "missing" / "deep", engine=engine, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "missing").exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data.mdb", "file", "full", "mine", "other"]
    with pytest.raises(ValueError, match="engine"):
        FileTracker(tmp_path / "new", engine="sqlite")  # type: ignore[arg-type]


def test_reading_only_writes_nothing(engine: str, tmp_path: Path) -> None:
    with FileTracker(tmp_path / "store", durability="no-sync") as tracker:
        tracker.set_metadata("a", "1")
    (tmp_path / "store" / "lock.mdb").unlink()
    before = (tmp_path / "store" / "data.mdb").read_bytes()
    with FileTracker(tmp_path / "store", engine=engine, read_only=True) as tracker:  # type: ignore[arg-type]
        assert tracker.get_metadata("a") == "1"
        with pytest.raises(TrackerError) as raised:
            tracker.set_metadata("a", "2")
        assert raised.value.case == "read-only"
        assert tracker.get_metadata("a") == "1"
    assert (tmp_path / "store" / "data.mdb").read_bytes() == before
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["data.mdb"]


def test_the_map_grows_in_the_middle_of_a_transaction(tmp_path: Path) -> None:
    engine = WasmEngine(tmp_path / "store", map_size=1 << 30, durability="no-sync", first_map_size=1 << 20)
    engine.call("begin-batch", ())
    for number in range(400):
        engine.call("set-metadata", (f"key {number}", "v" * 20_000))
    assert engine.call("get-metadata", ("key 7",)) == "v" * 20_000
    engine.call("end-batch", ())
    assert engine.stats()["map_size"] >= 8 << 20
    engine.close()
    with FileTracker(tmp_path / "store", engine="host") as tracker:
        assert tracker.get_metadata("key 399") == "v" * 20_000
    assert verified(tmp_path / "store")["records"] == 400


def test_a_full_store_keeps_what_was_committed(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path / "store", map_size=1 << 20, durability="no-sync")
    tracker.set_metadata("kept", "1")
    for _ in range(2):
        with pytest.raises(TrackerError) as raised:
            tracker.set_metadata("large", "v" * (2 << 20))
        assert raised.value.case == "map-full"
    with pytest.raises(TrackerError), tracker.batch():
        tracker.set_metadata("in the batch", "1")
        tracker.set_metadata("large", "v" * (2 << 20))
    assert [tracker.get_metadata(key) for key in ("kept", "large", "in the batch")] == ["1", None, None]
    tracker.set_metadata("after", "1")
    tracker.close()
    assert verified(tmp_path / "store")["records"] == 2


def test_a_call_that_writes_too_much_at_once_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with FileTracker(tmp_path / "store", durability="no-sync") as tracker:
        tracker.set_metadata("a", "v" * 2_000_000)
        for _ in range(2):
            with pytest.raises(Trapped, match="about 2 MB") as raised:
                tracker.set_metadata("b", "v" * 6_000_000)
            assert raised.value.case == "too-large"
        assert (tracker.get_metadata("a"), tracker.get_metadata("b")) == ("v" * 2_000_000, None)
    with FileTracker(tmp_path / "store", engine="host") as native:
        native.set_metadata("b", "v" * 6_000_000)
    # What is there is read all the same.
    with FileTracker(tmp_path / "store") as tracker:
        assert tracker.get_metadata("b") == "v" * 6_000_000


OTHER = """
import sys
from tracker_store import FileTracker
with FileTracker(sys.argv[1], durability="no-sync") as tracker:
    tracker.set_metadata(sys.argv[2], "theirs")
"""


def test_growing_over_another_commit_is_a_conflict_and_the_call_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    engine = WasmEngine(store, map_size=1 << 30, durability="no-sync", first_map_size=1 << 18)
    engine.call("set-metadata", ("first", "1"))
    grow = Environment.grow
    met: list[float] = []
    numbers = itertools.count(1)

    def grow_late(environment: Environment, patience: float) -> None:
        if patience and len(met) < 2:
            # The transaction was let go: another process is faster.
            met.append(patience)
            run_python(OTHER, str(store), f"other {next(numbers)}")
        grow(environment, patience)

    monkeypatch.setattr(Environment, "grow", grow_late)
    engine.call("set-metadata", ("mine", "v" * (1 << 20)))
    assert len(met) == 2
    engine.call("begin-batch", ())
    met.clear()
    with pytest.raises(TrackerError) as raised:
        for number in range(5):
            engine.call("set-metadata", (f"in a batch {number}", "v" * (2 << 20)))
    # A batch cannot be run again: it is over.
    assert raised.value.case == "conflict"
    with pytest.raises(TrackerError) as raised:
        engine.call("end-batch", ())
    assert raised.value.case == "batch-aborted"
    for key, there in (("first", True), ("mine", True), ("other 1", True), ("other 2", True), ("in a batch 0", False)):
        assert (engine.call("get-metadata", (key,)) is not None) == there, key
    engine.close()
    verified(store)


def test_whatever_a_host_function_raises_becomes_a_trap_and_the_next_call_has_a_new_instance(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path / "store", durability="no-sync")
    tracker.set_metadata("a", "1")

    def fail(*_: object) -> object:
        raise RuntimeError("no such luck")

    for name in ("[static]transaction.begin", "[method]transaction.write", "[static]transaction.commit"):
        engine = tracker._engine
        assert isinstance(engine, WasmEngine)
        instance = engine._start()
        instance.imports["galaxybrain:tracker/store@0.1.0", name] = fail
        with pytest.raises(Trapped, match="no such luck") as raised:
            tracker.set_metadata("a", "2")
        assert isinstance(raised.value.__cause__, RuntimeError)
        assert engine._instance is None
        assert tracker.get_metadata("a") == "1"
    # An answer of the wrong type is no different.
    engine = tracker._engine
    assert isinstance(engine, WasmEngine)
    instance = engine._start()
    instance.imports["galaxybrain:tracker/store@0.1.0", "get"] = lambda *_: "text"
    with pytest.raises(Trapped):
        tracker.get_metadata("a")
    assert tracker.get_metadata("a") == "1"
    tracker.set_metadata("a", "3")
    tracker.close()
    verified(tmp_path / "store")


def test_calls_leave_no_memory_behind(tmp_path: Path) -> None:
    def resident() -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        raise AssertionError("no VmRSS")

    tracker = FileTracker(tmp_path / "store", durability="no-sync")
    files = [
        {"path": f"/{n}", "mtime": 1.0, "size": 1, "content-hash": "h", "blob-offset": 0, "blob-length": 1}
        | {"key-hash": n, "contexts": ["a", "b"]}
        for n in range(300)
    ]
    rounds = 400 if LONG else 60
    sizes = []
    for number in range(rounds):
        tracker.call("upsert-files", files)
        assert len(list(tracker.iter_files())) == 300
        assert tracker.get_metadata("missing") is None
        with pytest.raises(TrackerError):
            tracker.cache_pattern(1, "p", "t", ["a", "a"], 0, 0)
        if number >= rounds // 3:
            sizes.append(resident())
    for _ in range(300_000 if LONG else 0):
        tracker.file_count()
    sizes.append(resident())
    # A leaked list of 300 files would be 100 kB a round, a leaked handle 14 MB in all the counts.
    assert sizes[-1] - sizes[0] < 4 << 20, sizes
    tracker.close()
