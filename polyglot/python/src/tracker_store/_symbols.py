"""Symbols, insights, and the vectors of files, symbols, memories and patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from . import _arguments as given
from . import records
from ._calls import Calls
from ._files import StrPath
from .records import SymbolRecord


class Symbols(Calls):
    """The methods about symbols and vectors."""

    def get_symbols(self, path: StrPath) -> list[SymbolRecord]:
        """The symbols of a file by id."""
        return self._records(records.symbol, "get-symbols", given.path(path))

    def get_symbol_keys(self, path: StrPath) -> list[int]:
        """The key hashes of the symbols of a file, in the order of `get_symbols`."""
        return list(self.call("get-symbol-keys", given.path(path)))

    def get_symbol_by_key(self, key_hash: int) -> SymbolRecord | None:
        """The symbol with this key hash; of several the one with the lowest id."""
        return self._record(records.symbol, "get-symbol-by-key", given.key_hash(key_hash))

    def upsert_symbol(
        self,
        file_path: StrPath,
        name: str,
        kind: str,
        line_start: int,
        line_end: int | None,
        blob_offset: int,
        blob_length: int,
        key_hash: int,
    ) -> int:
        """Inserts a symbol, or updates the one of the same file, name, kind and first line, which keeps its id and vector.

        Returns the id.
        """
        file, key = given.path(file_path), given.key_hash(key_hash)
        return int(self.call("upsert-symbol", file, name, kind, line_start, line_end, blob_offset, blob_length, key))

    def delete_symbols(self, path: StrPath) -> int:
        """Deletes the symbols of a file and returns how many there were."""
        return int(self.call("delete-symbols", given.path(path)))

    def delete_symbol_by_key(self, key_hash: int) -> bool:
        """Deletes every symbol with this key hash. True if there was one."""
        return bool(self.call("delete-symbol-by-key", given.key_hash(key_hash)))

    def update_symbol_vector(self, key_hash: int, vector_offset: int, vector_length: int) -> bool:
        """Sets the vector of every symbol with this key hash. True if there is one."""
        return bool(self.call("update-symbol-vector", given.key_hash(key_hash), vector_offset, vector_length))

    def symbol_count(self) -> int:
        """How many symbols there are."""
        return int(self.call("symbol-count"))

    def embedded_symbol_count(self) -> int:
        """How many symbols have a vector."""
        return int(self.call("embedded-symbol-count"))

    def iter_all_symbols(self, name_filter: str | None = None, batch_size: int = 100) -> Iterator[SymbolRecord]:
        """All symbols by name, file and id; with a filter those whose name contains it, ASCII letters without case."""
        return map(records.symbol, self._pages("list-all-symbols", (name_filter,), batch_size))

    def get_recent_symbols(self, limit: int = 10) -> list[tuple[SymbolRecord, float]]:
        """The symbols of the files recorded last, with the time of that."""
        answers = self.call("get-recent-symbols", given.limit(limit))
        return [(records.symbol(answer["symbol"]), answer["indexed-at"]) for answer in answers]

    def get_insight_stats(self) -> dict[str, int]:
        """How many symbols there are of each kind that begins with `insight:`."""
        return dict(self.call("get-insight-stats"))

    def list_available_insights(self) -> list[str]:
        """The kinds of `get_insight_stats`."""
        return list(self.call("list-available-insights"))

    def iter_insights_by_type(self, insight_type: str, batch_size: int = 100) -> Iterator[SymbolRecord]:
        """The symbols of exactly this kind, by file, first line and id."""
        return map(records.symbol, self._pages("list-insights-by-type", (insight_type,), batch_size))

    def live_vector_stats(self) -> tuple[int, int]:
        """Bytes and number of all vectors that a record points to."""
        answer = self.call("live-vector-stats")
        return answer["bytes"], answer["count"]

    def iter_live_vectors(self) -> Iterator[tuple[int, int, int | None]]:
        """Key hash, offset and length of all vectors that a record points to: of files, symbols, memories, patterns."""
        for vector in self._pages("list-live-vectors", (), -1):
            yield vector["key-hash"], vector["offset"], vector["length"]

    def update_vector_offsets(self, offset_map: Mapping[int, tuple[int, int]]) -> int:
        """Tells that vectors have moved: from an old offset to a new one, with a length. The number of records that pointed there."""
        moves = [{"old-offset": old, "new-offset": new, "length": length} for old, (new, length) in offset_map.items()]
        return int(self.call("update-vector-offsets", moves))
