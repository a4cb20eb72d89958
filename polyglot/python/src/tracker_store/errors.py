"""What a tracker raises."""

from __future__ import annotations

from typing import Any


class TrackerError(Exception):
    """A call failed, and had no effect.

    `case` is for programs: for errors of the component the case of `error` in
    `wit/tracker.wit`, or of `error` in `wit/store.wit` if the store failed
    (`map-full`, `read-only`, `conflict`, `foreign`; `store` for the others).
    """

    def __init__(self, case: str, message: str) -> None:
        super().__init__(message)
        self.case = case


class InvalidArgument(TrackerError, ValueError):
    """An argument is not acceptable; the text says which and why."""


class KeyConflict(TrackerError, ValueError):
    """The key hash belongs to another memory."""


class BatchAborted(TrackerError):
    """An earlier error ended the batch: nothing of it was kept."""

    def __init__(self) -> None:
        super().__init__("batch-aborted", "the batch was aborted by an earlier error; nothing of it was kept")


class Trapped(TrackerError):
    """The component failed, or was ended because it ran too long or needed too much memory.

    Nothing of the call was kept, and a batch is over. The next call has a new instance.
    """


class OpenError(TrackerError):
    """The store cannot be opened. Nothing was created or changed."""

    def __init__(self, message: str) -> None:
        super().__init__("open", message)


_CLASSES: dict[str, type[TrackerError]] = {
    "invalid-argument": InvalidArgument,
    "key-conflict": KeyConflict,
    "trap": Trapped,
    "deadline": Trapped,
    "out-of-memory": Trapped,
    "too-large": Trapped,
}
_TEXTS = {
    "invalid-argument": "invalid argument: {}",
    "key-conflict": "key conflict: {}",
    "corrupt": "corrupt record: {}",
    "incompatible": "incompatible store: {}",
    "map-full": "the store has reached its maximum size; open it with a larger map_size",
    "read-only": "the store is open for reading only",
    "conflict": "other writers were faster; try again",
    "foreign": "the environment holds tables of another program and was left alone",
}


def of_case(case: str, message: str) -> TrackerError:
    """The error of a case."""
    if case == "batch-aborted":
        return BatchAborted()
    if case == "open":
        return OpenError(message)
    return _CLASSES.get(case, TrackerError)(case, message)


def of_answer(payload: Any) -> TrackerError:
    """The error that a call of the component answered: a value of the variant `error` in `wit/tracker.wit`."""
    ((case, text),) = payload.items()
    if case != "store":
        return of_case(case, _TEXTS[case].format(text))
    inner, detail = next(iter(text.items())) if isinstance(text, dict) else (text, None)
    if inner in _TEXTS:
        return of_case(inner, _TEXTS[inner])
    return of_case("store", f"the store failed: {inner}" if detail is None else f"the store failed: {detail}")
