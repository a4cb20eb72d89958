"""Pattern caches and session threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import _arguments as given
from . import records
from ._calls import Calls
from .records import (
    PatternCacheRecord,
    SessionThreadRecord,
    ThreadFileRecord,
    ThreadQueryRecord,
    ThreadToolRecord,
)


class Patterns(Calls):
    """The methods about pattern caches. Paths are taken as they are."""

    def cache_pattern(
        self,
        key_hash: int,
        pattern: str,
        tool_type: str,
        matched_files: Sequence[str],
        blob_offset: int,
        blob_length: int,
    ) -> None:
        """Inserts or updates a pattern and replaces its files. Raises an InvalidArgument if a file is given twice."""
        files = list(matched_files)
        self.call("cache-pattern", given.key_hash(key_hash), pattern, tool_type, files, blob_offset, blob_length)

    def get_pattern_cache(self, key_hash: int) -> PatternCacheRecord | None:
        """The pattern with this key hash."""
        return self._record(records.pattern, "get-pattern-cache", given.key_hash(key_hash))

    def get_patterns_for_file(self, file_path: str) -> list[int]:
        """The key hashes of the patterns that matched a file, ascending."""
        return list(self.call("get-patterns-for-file", file_path))

    def evict_patterns_for_file(self, file_path: str) -> int:
        """Deletes the patterns that matched a file, and returns how many there were."""
        return int(self.call("evict-patterns-for-file", file_path))

    def evict_patterns_by_ttl(self, max_age_seconds: float = 604800.0) -> int:
        """Deletes the patterns cached more than so many seconds ago, and returns how many there were."""
        return int(self.call("evict-patterns-by-ttl", max_age_seconds))

    def update_pattern_vector(self, key_hash: int, vector_offset: int, vector_length: int) -> bool:
        """Sets the vector of the pattern with this key hash. True if there is one."""
        return bool(self.call("update-pattern-vector", given.key_hash(key_hash), vector_offset, vector_length))

    def count_pattern_caches(self) -> int:
        """How many patterns there are."""
        return int(self.call("count-pattern-caches"))

    def clear_pattern_caches(self) -> int:
        """Deletes all patterns and returns how many there were."""
        return int(self.call("clear-pattern-caches"))

    def get_recent_patterns(self, limit: int = 10) -> list[PatternCacheRecord]:
        """The patterns cached last, newest first."""
        return self._records(records.pattern, "get-recent-patterns", given.limit(limit))

    def iter_patterns(self, batch_size: int = 100) -> Iterator[PatternCacheRecord]:
        """The patterns that have a vector, newest first."""
        return map(records.pattern, self._pages("list-patterns", (), batch_size))


class Threads(Calls):
    """The methods about session threads. Ids are not negative: there is nothing under one that is."""

    def create_thread(
        self, session_id: str, title: str, centroid_offset: int | None = None, centroid_length: int | None = None
    ) -> SessionThreadRecord:
        """Creates an active thread, touched once."""
        return records.thread(self.call("create-thread", session_id, title, centroid_offset, centroid_length))

    def get_thread(self, thread_id: int) -> SessionThreadRecord | None:
        """The thread with this id, active or not."""
        return None if thread_id < 0 else self._record(records.thread, "get-thread", thread_id)

    def get_threads_for_session(self, session_id: str) -> list[SessionThreadRecord]:
        """The active threads of a session, last touched first."""
        return self._records(records.thread, "get-threads-for-session", session_id)

    def get_recent_threads(self, limit: int = 20, active_only: bool = True) -> list[SessionThreadRecord]:
        """The threads touched last."""
        return self._records(records.thread, "get-recent-threads", given.limit(limit), active_only)

    def touch_thread(self, thread_id: int) -> None:
        """Touches a thread. Nothing happens if there is none."""
        self._if_possible(thread_id, "touch-thread")

    def update_thread_centroid(self, thread_id: int, centroid_offset: int, centroid_length: int) -> None:
        """Sets a thread's centroid. Nothing happens if there is none."""
        self._if_possible(thread_id, "update-thread-centroid", centroid_offset, centroid_length)

    def deactivate_thread(self, thread_id: int) -> None:
        """Makes a thread inactive, for good. Nothing happens if there is none."""
        self._if_possible(thread_id, "deactivate-thread")

    def thread_count(self, active_only: bool = True) -> int:
        """How many threads are active, or how many there are."""
        return int(self.call("thread-count", active_only))

    def add_thread_file(self, thread_id: int, file_path: str, operation: str) -> None:
        """Records that a thread worked on a file. The first operation is kept until `write` or `edit` replaces it."""
        self.call("add-thread-file", thread_id, file_path, operation)

    def get_thread_files(self, thread_id: int) -> list[ThreadFileRecord]:
        """The files of a thread, last accessed first."""
        return [] if thread_id < 0 else self._records(records.thread_file, "get-thread-files", thread_id)

    def get_threads_for_file(self, file_path: str) -> list[int]:
        """The threads that worked on a file, active or not, ascending."""
        return list(self.call("get-threads-for-file", file_path))

    def add_thread_query(
        self,
        thread_id: int,
        query_text: str,
        embedding_offset: int | None = None,
        embedding_length: int | None = None,
    ) -> int:
        """Records a query and returns its id."""
        return int(self.call("add-thread-query", thread_id, query_text, embedding_offset, embedding_length))

    def get_thread_queries(self, thread_id: int, limit: int = 50) -> list[ThreadQueryRecord]:
        """The queries of a thread, newest first."""
        if thread_id < 0:
            return []
        return self._records(records.thread_query, "get-thread-queries", thread_id, given.limit(limit))

    def search_thread_queries(self, search_text: str, limit: int = 20) -> list[ThreadQueryRecord]:
        """The queries whose text contains this, ASCII letters without case, newest first."""
        return self._records(records.thread_query, "search-thread-queries", search_text, given.limit(limit))

    def update_query_embedding(self, query_id: int, embedding_offset: int, embedding_length: int) -> None:
        """Sets a query's embedding. Nothing happens if there is none."""
        self._if_possible(query_id, "update-query-embedding", embedding_offset, embedding_length)

    def record_thread_tool(self, thread_id: int, tool_name: str) -> None:
        """Records that a thread used a tool."""
        self.call("record-thread-tool", thread_id, tool_name)

    def get_thread_tools(self, thread_id: int) -> list[ThreadToolRecord]:
        """The tools of a thread, most used first."""
        return [] if thread_id < 0 else self._records(records.thread_tool, "get-thread-tools", thread_id)

    def get_thread_stats(self) -> dict[str, Any]:
        """Figures over all threads; `top_session` is the session with most threads and their number, or (None, 0)."""
        answer = self.call("get-thread-stats")
        stats = {name.replace("-", "_"): value for name, value in answer.items()}
        stats["top_session"] = tuple(stats["top_session"] or (None, 0))
        return stats

    def _if_possible(self, id: int, name: str, *arguments: Any) -> None:
        if id >= 0:
            self.call(name, id, *arguments)
