"""Files, and what is known about them on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import _arguments as given
from . import records
from ._calls import Calls
from .records import FileRecord

StrPath = str | os.PathLike[str]

_EXTENSIONS = frozenset({".py", ".ts", ".tsx", ".js", ".jsx", ".rs"})
_EXCLUDED = frozenset(
    {"node_modules", ".git", "__pycache__", ".venv", "venv", "target", "dist", "build", ".next", ".ultrasync"}
)


class Files(Calls):
    """The methods about files."""

    def needs_index(self, path: StrPath) -> bool:
        """True if the file is not recorded, was modified later than recorded, or has another size.

        False if it is not there or cannot be looked at.
        """
        try:
            found = os.stat(path)
        except (FileNotFoundError, PermissionError):
            return False
        return bool(self.call("needs-index", given.path(path), found.st_mtime, found.st_size))

    def needs_embed(self, path: StrPath) -> bool:
        """True if the file is recorded and has no vector."""
        return bool(self.call("needs-embed", given.path(path)))

    def get_file(self, path: StrPath) -> FileRecord | None:
        """The file with this path."""
        return self._record(records.file, "get-file", given.path(path))

    def get_file_by_key(self, key_hash: int) -> FileRecord | None:
        """The file with this key hash; of several the one whose path is first."""
        return self._record(records.file, "get-file-by-key", given.key_hash(key_hash))

    def upsert_file(
        self,
        path: StrPath,
        content_hash: str,
        blob_offset: int,
        blob_length: int,
        key_hash: int,
        detected_contexts: Sequence[str] | None = None,
    ) -> None:
        """Records a file as it is on disk now. An update keeps the vector. Errors of `stat` are raised."""
        found = os.stat(path)
        contexts = list(detected_contexts or ())
        key = given.key_hash(key_hash)
        name, mtime, size = given.path(path), found.st_mtime, found.st_size
        self.call("upsert-file", name, mtime, size, content_hash, blob_offset, blob_length, key, contexts)

    def import_team_file(
        self,
        path: str,
        size: int | None = None,
        indexed_at: float | None = None,
        detected_contexts: Sequence[str] | None = None,
        *,
        key_hash: int,
    ) -> int:
        """Records a file that a team member shared, under the path as it is, unless one's own file is there.

        The key hash is the caller's, as everywhere. Returns that of the record that is there now.
        """
        contexts = list(detected_contexts or ())
        return int(self.call("import-team-file", path, size, indexed_at, contexts, given.key_hash(key_hash)))

    def delete_file(self, path: StrPath) -> bool:
        """Deletes a file and its symbols. True if there was one."""
        return bool(self.call("delete-file", given.path(path)))

    def update_file_vector(self, key_hash: int, vector_offset: int, vector_length: int) -> bool:
        """Sets the vector of every file with this key hash. True if there is one."""
        return bool(self.call("update-file-vector", given.key_hash(key_hash), vector_offset, vector_length))

    def iter_files(self, batch_size: int = 100) -> Iterator[FileRecord]:
        """All files by path."""
        return map(records.file, self._pages("list-files", (), batch_size))

    def iter_files_by_context(self, context: str, batch_size: int = 100) -> Iterator[FileRecord]:
        """The files that have the context among theirs, by path."""
        return map(records.file, self._pages("list-files-by-context", (context,), batch_size))

    def file_count(self) -> int:
        """How many files there are."""
        return int(self.call("file-count"))

    def embedded_file_count(self) -> int:
        """How many files have a vector."""
        return int(self.call("embedded-file-count"))

    def get_recent_files(self, limit: int = 10) -> list[FileRecord]:
        """The files recorded last, newest first. A limit below zero is none."""
        return self._records(records.file, "get-recent-files", given.limit(limit))

    def iter_stale_files(
        self,
        root: StrPath,
        extensions: set[str] | None = None,
        exclude_dirs: set[str] | None = None,
        batch_size: int = 100,
    ) -> Iterator[list[Path]]:
        """The files under a folder that need to be indexed, in lists of so many.

        Those whose suffix in small letters is one of `extensions`, unless a part of their path is
        one of `exclude_dirs`. Paths are those of the walk, not resolved.
        """
        suffixes = _EXTENSIONS if extensions is None else extensions
        excluded = _EXCLUDED if exclude_dirs is None else exclude_dirs
        batch: list[Path] = []
        for path in _walk(Path(root), excluded):
            if path.suffix.lower() in suffixes and path.is_file() and self.needs_index(path):
                batch.append(path)
                if len(batch) >= batch_size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def get_context_stats(self) -> dict[str, int]:
        """How often each context occurs in files."""
        return dict(self.call("get-context-stats"))

    def list_available_contexts(self) -> list[str]:
        """The contexts that occur, in order."""
        return list(self.call("list-available-contexts"))

    def get_contexts_for_file(self, path: str) -> list[str]:
        """The contexts of a file, whose path is taken as it is; none if there is no such file."""
        return list(self.call("get-contexts-for-file", path))


def _walk(root: Path, excluded: frozenset[str] | set[str]) -> Iterator[Path]:
    """The paths under a folder; folders that are excluded are not entered."""
    if excluded.intersection(root.parts):
        return
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in excluded]
        for name in files:
            if name not in excluded:
                yield Path(folder, name)
