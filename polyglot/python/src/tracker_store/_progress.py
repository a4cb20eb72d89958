"""Checkpoints, metadata and how far transcripts were read."""

from __future__ import annotations

import os

from . import records
from ._calls import Calls
from ._files import StrPath
from .records import Checkpoint


class Progress(Calls):
    """The methods about progress. Paths of transcripts are taken as they are."""

    def save_checkpoint(self, processed_files: int, total_files: int, last_path: str) -> int:
        """Saves a checkpoint and returns its id, which is never given twice."""
        return int(self.call("save-checkpoint", processed_files, total_files, last_path))

    def get_latest_checkpoint(self) -> Checkpoint | None:
        """The checkpoint created last."""
        return self._record(records.checkpoint, "get-latest-checkpoint")

    def clear_checkpoints(self) -> int:
        """Deletes all checkpoints and returns how many there were."""
        return int(self.call("clear-checkpoints"))

    def get_metadata(self, key: str) -> str | None:
        """The value of a key."""
        value: str | None = self.call("get-metadata", key)
        return value

    def set_metadata(self, key: str, value: str) -> None:
        """Sets the value of a key."""
        self.call("set-metadata", key, value)

    def get_transcript_position(self, path: StrPath) -> int:
        """How far a transcript was read; 0 if nothing is recorded."""
        return int(self.call("get-transcript-position", os.fspath(path)))

    def get_all_transcript_positions(self) -> dict[str, int]:
        """All transcripts and how far they were read."""
        return dict(self.call("get-all-transcript-positions"))

    def set_transcript_position(self, path: StrPath, position: int) -> None:
        """Records how far a transcript was read."""
        self.call("set-transcript-position", os.fspath(path), position)

    def clear_transcript_positions(self) -> int:
        """Deletes all positions and returns how many there were."""
        return int(self.call("clear-transcript-positions"))
