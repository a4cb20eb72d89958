"""Memories and conventions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import _arguments as given
from . import records
from ._arguments import StringList
from ._calls import Calls
from .records import ConventionRecord, MemoryRecord


class Memories(Calls):
    """The methods about memories and conventions. Lists may be given as JSON text, as FileTracker takes them."""

    def upsert_memory(
        self,
        id: str,
        task: str | None,
        insights: StringList,
        context: StringList,
        symbol_keys: str | Sequence[int] | None,
        text: str,
        tags: StringList,
        blob_offset: int,
        blob_length: int,
        key_hash: int,
        owner_id: str | None = None,
        is_team: bool = False,
    ) -> None:
        """Inserts or updates a memory. An update keeps the time of creation and the vector.

        Raises a KeyConflict if another memory has the key hash.
        """
        self.call(
            "upsert-memory",
            id,
            task,
            given.strings(insights, "insights"),
            given.strings(context, "context"),
            given.integers(symbol_keys, "symbol_keys"),
            text,
            given.strings(tags, "tags"),
            blob_offset,
            blob_length,
            given.key_hash(key_hash),
            owner_id,
            is_team,
        )

    def get_memory(self, memory_id: str) -> MemoryRecord | None:
        """The memory with this id."""
        return self._record(records.memory, "get-memory", memory_id)

    def get_memory_by_key(self, key_hash: int) -> MemoryRecord | None:
        """The memory with this key hash."""
        return self._record(records.memory, "get-memory-by-key", given.key_hash(key_hash))

    def query_memories(
        self,
        task: str | None = None,
        context_filter: Sequence[str] | None = None,
        insight_filter: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[MemoryRecord]:
        """The memories that have the task and all of the contexts, insights and tags, newest first, without vectors."""
        filters = [list(each or ()) for each in (context_filter, insight_filter, tags)]
        return self._records(records.memory, "query-memories", task, *filters, given.limit(limit), given.offset(offset))

    def delete_memory(self, memory_id: str) -> bool:
        """Deletes a memory. True if there was one."""
        return bool(self.call("delete-memory", memory_id))

    def memory_count(self) -> int:
        """How many memories there are."""
        return int(self.call("memory-count"))

    def iter_memories(self, batch_size: int = 100) -> Iterator[MemoryRecord]:
        """All memories, newest first, without vectors."""
        return map(records.memory, self._pages("list-memories", (), batch_size))

    def get_recent_memories(self, limit: int = 10) -> list[MemoryRecord]:
        """The memories created last, newest first."""
        return self._records(records.memory, "get-recent-memories", given.limit(limit))

    def update_memory_vector(self, key_hash: int, vector_offset: int, vector_length: int) -> bool:
        """Sets the vector of the memory with this key hash. True if there is one."""
        return bool(self.call("update-memory-vector", given.key_hash(key_hash), vector_offset, vector_length))

    def record_memory_access(self, memory_id: str) -> bool:
        """Counts an access to a memory. True if there is one."""
        return bool(self.call("record-memory-access", memory_id))

    def upsert_convention(
        self,
        id: str,
        name: str,
        description: str,
        category: str,
        scope: StringList,
        priority: str,
        good_examples: StringList,
        bad_examples: StringList,
        pattern: str | None,
        tags: StringList,
        org_id: str | None,
        blob_offset: int,
        blob_length: int,
        key_hash: int,
    ) -> None:
        """Inserts or updates a convention. An update keeps the time of creation and the uses, and resets the vector."""
        self.call(
            "upsert-convention",
            id,
            name,
            description,
            category,
            given.strings(scope, "scope"),
            priority,
            given.strings(good_examples, "good_examples"),
            given.strings(bad_examples, "bad_examples"),
            pattern,
            given.strings(tags, "tags"),
            org_id,
            blob_offset,
            blob_length,
            given.key_hash(key_hash),
        )

    def get_convention(self, id: str) -> ConventionRecord | None:
        """The convention with this id."""
        return self._record(records.convention, "get-convention", id)

    def get_convention_by_key(self, key_hash: int) -> ConventionRecord | None:
        """The convention with this key hash; of several the one whose id is first."""
        return self._record(records.convention, "get-convention-by-key", given.key_hash(key_hash))

    def query_conventions(
        self,
        category: str | None = None,
        scope_filter: Sequence[str] | None = None,
        priority: str | None = None,
        org_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[ConventionRecord]:
        """The conventions of this category, priority and organisation that hold in any of these contexts or everywhere."""
        filters = (category, list(scope_filter or ()), priority, org_id)
        return self._records(
            records.convention, "query-conventions", *filters, given.limit(limit), given.offset(offset)
        )

    def iter_conventions(self) -> Iterator[ConventionRecord]:
        """All conventions by id."""
        return map(records.convention, self._pages("list-conventions", (), -1))

    def iter_conventions_by_scope(self, context: str) -> Iterator[ConventionRecord]:
        """The conventions that name this context in their scope, by id."""
        return map(records.convention, self._pages("list-conventions-by-scope", (context,), -1))

    def iter_conventions_by_category(self, category: str) -> Iterator[ConventionRecord]:
        """The conventions of a category, by id."""
        return map(records.convention, self._pages("list-conventions-by-category", (category,), -1))

    def delete_convention(self, id: str) -> bool:
        """Deletes a convention. True if there was one."""
        return bool(self.call("delete-convention", id))

    def record_convention_applied(self, id: str) -> bool:
        """Counts an application of a convention. True if there is one."""
        return bool(self.call("record-convention-applied", id))

    def update_convention_vector(self, key_hash: int, vector_offset: int, vector_length: int) -> bool:
        """Sets the vector of every convention with this key hash. True if there is one."""
        return bool(self.call("update-convention-vector", given.key_hash(key_hash), vector_offset, vector_length))

    def convention_count(self) -> int:
        """How many conventions there are."""
        return int(self.call("convention-count"))

    def get_convention_stats(self) -> dict[str, int]:
        """How many conventions each category has."""
        return dict(self.call("get-convention-stats"))
