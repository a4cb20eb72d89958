from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import DATA, ENGINES, Open, host

from tracker_store import FileTracker


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs over both engines."""
    return str(request.param)


@pytest.fixture
def opened(engine: str) -> Iterator[Open]:
    """Opens trackers of the engine, and closes them after the test."""
    trackers: list[FileTracker] = []

    def open_tracker(path: Path, **options: object) -> FileTracker:
        options.setdefault("durability", "no-sync")
        trackers.append(FileTracker(path, engine=engine, **options))  # type: ignore[arg-type]
        return trackers[-1]

    yield open_tracker
    for tracker in trackers:
        tracker.close()


@pytest.fixture
def tracker(opened: Open, tmp_path: Path) -> FileTracker:
    """A tracker on a new store."""
    return opened(tmp_path / "store")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that the native host made of FileTracker's own database, to be read only."""
    store = tmp_path_factory.mktemp("migrated") / "small"
    # Some rows are rejected, which is its exit code 3.
    host("migrate", "--no-backup", DATA / "small.db", store, code=3)
    return store
