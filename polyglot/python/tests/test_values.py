"""Values at the edges of their types, and what is refused."""

from __future__ import annotations

import json
import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from support import LONG, Open, figure, verified

from tracker_store import FileTracker, InvalidArgument, KeyConflict, TrackerError
from tracker_store._component import runtime
from tracker_store._values import Bytes, Codec, Enum, Float, List, Option, Record, Tuple, Variant

TEXTS = [
    "",
    "a",
    "\0",
    "\ufeffbom",
    "ünï😀",
    "\uffff",
    "\x7f\x80",
    '"\\',
    "a\nb",
    "\u2028",
    "%_",
    "x" * 70_000,
    "é" * 3000,
]


def test_integers_are_exact_to_their_ends(tracker: FileTracker, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    least, greatest = -(2**63), 2**63 - 1
    for offset, length, key in ((least, greatest, 0), (greatest, least, 2**64 - 1), (2**53 + 1, -1, 2**63)):
        tracker.upsert_file(file, "hash", offset, length, key)
        found = tracker.get_file(file)
        assert found is not None
        assert (found.blob_offset, found.blob_length, found.key_hash) == (offset, length, key)
        assert tracker.get_file_by_key(key) == found
        assert tracker.update_file_vector(key, least, greatest)
        assert list(tracker.iter_live_vectors()) == [(key, least, greatest)]
        assert tracker.update_vector_offsets({least: (greatest, least)}) == 1
        assert tracker.live_vector_stats() == (least, 1)
    for beyond in (least - 1, greatest + 1, 2**100, -(2**100)):
        with pytest.raises(OverflowError):
            tracker.set_transcript_position("/t", beyond)
        with pytest.raises(OverflowError):
            tracker.upsert_file(file, "hash", beyond, 0, 0)
    for wrong in (True, 1.0, "1", None):
        with pytest.raises(TypeError):
            tracker.set_transcript_position("/t", wrong)  # type: ignore[arg-type]
    assert tracker.get_all_transcript_positions() == {}


def test_key_hashes_are_taken_modulo_two_to_the_64_as_filetracker_took_them(tracker: FileTracker) -> None:
    for given, stored in ((-1, 2**64 - 1), (-(2**63), 2**63), (2**64, 0), (2**64 + 2**63 - 1, 2**63 - 1)):
        tracker.cache_pattern(given, "p", "grep", [], 0, 0)
        for key in (given, stored):
            found = tracker.get_pattern_cache(key)
            assert found is not None
            assert found.key_hash == stored
    for beyond in (-(2**63) - 1, 2**64 + 2**63):
        with pytest.raises(OverflowError):
            tracker.get_pattern_cache(beyond)
        with pytest.raises(OverflowError):
            tracker.cache_pattern(beyond, "p", "grep", [], 0, 0)
    assert tracker.count_pattern_caches() == 4


def test_any_text_comes_back_as_it_was(tracker: FileTracker) -> None:
    for number, text in enumerate(TEXTS):
        tracker.set_metadata(f"key {number}", text)
        tracker.upsert_memory(f"m {number}", text, [text], [text, text], [number], text, [text], 0, 0, number)
    for number, text in enumerate(TEXTS):
        assert tracker.get_metadata(f"key {number}") == text
        memory = tracker.get_memory(f"m {number}")
        assert memory is not None
        assert (memory.task, memory.text) == (text, text)
        assert json.loads(memory.insights) == json.loads(memory.tags) == [text]
        assert json.loads(memory.context) == [text, text]
        assert json.loads(memory.symbol_keys) == [number]
        if text:
            assert [found.id for found in tracker.query_memories(tags=[text])] == [memory.id]


def test_half_a_surrogate_pair_is_refused_before_the_call(tracker: FileTracker) -> None:
    for text in ("\udcff", "a\ud800", "\ude00\ud83d"):
        with pytest.raises(UnicodeEncodeError):
            tracker.set_metadata("a", text)
        with pytest.raises(UnicodeEncodeError):
            tracker.get_metadata(text)
        with pytest.raises(UnicodeEncodeError):
            tracker.query_memories(tags=["a", text])
    tracker.set_metadata("a", "1")
    assert tracker.get_metadata("a") == "1"


def test_any_float_that_is_stored_comes_back_bit_by_bit(tracker: FileTracker) -> None:
    chance = random.Random(8)
    floats = [0.0, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 0.1, -1.5, 2.0**53 + 2]
    while len(floats) < (5000 if LONG else 300):
        (number,) = struct.unpack("<d", chance.randbytes(8))
        if not math.isnan(number):
            floats.append(number)
    rows = [
        {"transcript-position": {"path": f"/{number:05}", "byte-position": number, "updated-at": value}}
        for number, value in enumerate(floats)
    ]
    tracker.call("import-rows", rows)
    back: list[Any] = []
    after = None
    while True:
        page = tracker.call("export-rows", "transcript-position", after, 70)
        back += page["items"]
        after = page["next"]
        if after is None:
            break
    bits = [struct.pack("<d", row["transcript-position"]["updated-at"]) for row in back]
    assert bits == [struct.pack("<d", value) for value in floats]
    figure("floats stored and read", len(floats))


def test_a_time_that_is_not_a_number_is_refused(tracker: FileTracker) -> None:
    for name, arguments in (
        ("upsert-file", ("/a", math.nan, 1, "", 0, 0, 0, [])),
        ("evict-patterns-by-ttl", (math.nan,)),
    ):
        with pytest.raises(InvalidArgument, match="not a number"):
            tracker.call(name, *arguments)


def test_the_limits_of_filetracker_are_kept(tracker: FileTracker) -> None:
    for number in range(25):
        tracker.add_thread_query(1, f"query {number}")
        tracker.upsert_memory(f"{number:02}", None, None, None, None, "", None, 0, 0, number)
    assert [len(tracker.get_thread_queries(1, limit)) for limit in (0, 3, -1, 2**40)] == [0, 3, 25, 25]
    assert len(tracker.search_thread_queries("QUERY")) == 20
    assert len(tracker.get_recent_memories()) == 10
    assert len(tracker.query_memories(limit=-5, offset=-5)) == 25
    assert len(tracker.query_memories(limit=2**40, offset=20)) == 5
    assert tracker.query_memories(offset=2**40) == []
    assert [len(list(tracker.iter_memories(size))) for size in (0, 1, 7, 25, 2**20, -1)] == [0, 25, 25, 25, 25, 25]


def test_lists_are_taken_as_json_text_or_as_they_are(tracker: FileTracker) -> None:
    text, plain = '["a", "ü"]', ["a", "ü"]
    tracker.upsert_memory("text", None, text, "", None, "t", text, 0, 0, 1)
    tracker.upsert_memory("plain", None, plain, [], [], "t", tuple(plain), 0, 0, 2)
    for name in ("text", "plain"):
        found = tracker.get_memory(name)
        assert found is not None
        assert (found.insights, found.context, found.symbol_keys) == (json.dumps(plain), "[]", "[]")
    for wrong in ("no json", '"text"', "{}", "[1]", [1], 5):
        with pytest.raises((ValueError, TypeError)):
            tracker.upsert_memory("wrong", None, wrong, None, None, "t", None, 0, 0, 3)  # type: ignore[arg-type]
    with pytest.raises(KeyConflict):
        tracker.upsert_memory("other", None, None, None, None, "t", None, 0, 0, 2)
    assert tracker.memory_count() == 2


def test_there_is_nothing_under_a_negative_thread(tracker: FileTracker) -> None:
    assert tracker.get_thread(-5) is None
    assert [tracker.get_thread_files(-5), tracker.get_thread_queries(-5), tracker.get_thread_tools(-5)] == [[], [], []]
    tracker.touch_thread(-5)
    tracker.deactivate_thread(-5)
    with pytest.raises(OverflowError):
        tracker.add_thread_file(-5, "/a", "read")


def test_every_function_refuses_what_is_not_of_its_types(tracker: FileTracker, tmp_path: Path) -> None:
    tracker.set_metadata("a", "1")
    refused = 0
    for name, (parameters, _) in runtime().functions.items():
        if name.endswith("-batch"):
            continue
        good = [_some(codec) for _, codec in parameters]
        for position in range(len(good)):
            for wrong in (object(), {"x": 1}, [[]], 1.5j):
                arguments = [*good[:position], wrong, *good[position + 1 :]]
                with pytest.raises((TypeError, ValueError)) as raised:
                    tracker.call(name, *arguments)
                assert not isinstance(raised.value, TrackerError), (name, arguments)
                refused += 1
        for arguments in ([*good, None], good[1:] if good else [None]):
            with pytest.raises(TypeError):
                tracker.call(name, *arguments)
            refused += 1
    figure("calls with wrong arguments", refused)
    assert (tracker.get_metadata("a"), tracker.file_count()) == ("1", 0)
    tracker.close()
    assert verified(tmp_path / "store")["records"] == 1


def _some(codec: Codec) -> Any:
    """A value of a type."""
    if isinstance(codec, Option):
        return None
    if isinstance(codec, Bytes):
        return b""
    if isinstance(codec, List):
        return []
    if isinstance(codec, Tuple):
        return tuple(map(_some, codec.items))
    if isinstance(codec, Record):
        return {name: _some(field) for name, field in codec.fields}
    if isinstance(codec, Enum):
        return codec.cases[0]
    if isinstance(codec, Variant):
        case, inner = next(iter(codec.cases.items()))
        return case if inner is None else {case: _some(inner)}
    if isinstance(codec, Float):
        return 1.0
    return {"string": "", "bool": False}.get(codec.name, 0)


def test_paths_are_resolved_and_looked_at_where_filetracker_does_that(opened: Open, tmp_path: Path) -> None:
    tracker = opened(tmp_path / "store")
    folder = tmp_path / "folder"
    folder.mkdir()
    file, link = folder / "ä.py", tmp_path / "link.py"
    file.write_text("one")
    link.symlink_to(file)
    missing = folder / "missing.py"
    assert tracker.needs_index(link)
    assert not tracker.needs_index(missing)
    tracker.upsert_file(link, "hash", 0, 3, 7, ["context:a", "context:a"])
    found = tracker.get_file(folder / ".." / "folder" / "ä.py")
    assert found is not None
    assert (found.path, found.size, found.mtime) == (str(file), 3, file.stat().st_mtime)
    assert found.detected_contexts == '["context:a", "context:a"]'
    assert not tracker.needs_index(file)
    assert tracker.needs_embed(str(link))
    file.write_text("three")
    assert tracker.needs_index(link)
    with pytest.raises(FileNotFoundError):
        tracker.upsert_file(missing, "hash", 0, 0, 0)
    tracker.upsert_symbol(link, "f", "function", 1, None, 0, 0, 9)
    assert [symbol.file_path for symbol in tracker.get_symbols(file)] == [str(file)]
    # Transcripts and patterns are not.
    tracker.set_transcript_position(Path("a/../b"), 3)
    assert tracker.get_all_transcript_positions() == {"a/../b": 3}
    tracker.upsert_file(file, "hash", 0, 5, 7)
    record = tracker.get_file(file)
    assert record is not None
    assert record.detected_contexts is None
    assert tracker.get_context_stats() == {}
    assert tracker.delete_file(link)
    assert not tracker.delete_file(link)
    assert tracker.get_symbols(file) == []


def test_stale_files_are_found_in_lists(opened: Open, tmp_path: Path) -> None:
    tracker = opened(tmp_path / "store")
    root = tmp_path / "root"
    names = ["a.py", "b.RS", "sub/c.ts", "sub/d.txt", "target/e.py", "sub/node_modules/f.js", ".git/g.py", "sub/h.jsx"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    tracker.upsert_file(root / "a.py", "hash", 0, 4, 1)
    batches = list(tracker.iter_stale_files(root, batch_size=2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert {path for batch in batches for path in batch} == {root / name for name in ("b.RS", "sub/c.ts", "sub/h.jsx")}
    found = {path for batch in tracker.iter_stale_files(root, {".py"}, set()) for path in batch}
    assert found == {root / "target/e.py", root / ".git/g.py"}
    assert list(tracker.iter_stale_files(root, exclude_dirs={"root"})) == []


def test_a_team_members_file_does_not_replace_ones_own(tracker: FileTracker, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("x")
    tracker.upsert_file(file, "hash", 0, 1, 5)
    assert tracker.import_team_file(str(file), 9, 1.0, ["context:a"], key_hash=6) == 5
    assert tracker.import_team_file("relative/team.py", None, 2.5, ["context:a"], key_hash=-1) == 2**64 - 1
    (team,) = tracker.iter_files_by_context("context:a")
    assert (team.path, team.is_team, team.size, team.indexed_at) == ("relative/team.py", True, 0, 2.5)
    assert tracker.get_contexts_for_file("relative/team.py") == ["context:a"]


def test_figures_of_the_environment_are_the_native_ones(opened: Open, tmp_path: Path) -> None:
    tracker = opened(tmp_path / "store")
    with tracker.batch():
        for number in range(500):
            tracker.call("upsert-file", f"/{number}", 1.0, 1, "h" * 100, 0, 1, number, [])
    stats = tracker.get_db_stats()
    tracker.close()
    with FileTracker(tmp_path / "store", engine="host") as native:
        expected = native.get_db_stats()
    assert {name: stats[name] for name in ("entries", "last_pgno", "page_size", "file_size", "estimated_used")} == {
        name: expected[name] for name in ("entries", "last_pgno", "page_size", "file_size", "estimated_used")
    }
    assert stats.keys() == expected.keys()


def test_thread_figures_name_the_top_session(tracker: FileTracker) -> None:
    assert tracker.get_thread_stats()["top_session"] == (None, 0)
    for session in ("b", "a", "a"):
        tracker.create_thread(session, "title")
    tracker.deactivate_thread(1)
    stats = tracker.get_thread_stats()
    assert (stats["active_threads"], stats["inactive_threads"], stats["session_count"]) == (2, 1, 2)
    assert stats["top_session"] == ("a", 2)


def test_the_methods_are_those_of_the_reference(tracker: FileTracker) -> None:
    for name in ("lone", "x"):
        tracker.upsert_convention(name, name, "d", "c", '["s"]', "required", "[]", [], None, None, None, 0, 0, 1)
    assert [found.id for found in tracker.iter_conventions_by_scope("s")] == ["lone", "x"]
    assert [found.id for found in tracker.query_conventions(scope_filter=["s"], limit=1, offset=1)] == ["x"]
    assert tracker.record_convention_applied("x")
    found = tracker.get_convention("x")
    assert found is not None
    assert (found.times_applied, found.scope, found.good_examples) == (1, '["s"]', "[]")
    assert tracker.get_convention_stats() == {"c": 2}
    assert tracker.save_checkpoint(1, 2, "/a") == 1
    checkpoint = tracker.get_latest_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.processed_files, checkpoint.total_files, checkpoint.last_path) == (1, 2, "/a")
    tracker.upsert_symbol("/s", "n", "insight:todo", 1, 2, 0, 0, 3)
    assert tracker.list_available_insights() == ["insight:todo"]
    (symbol,) = tracker.iter_insights_by_type("insight:todo")
    assert (symbol.name, symbol.line_end) == ("n", 2)
