"""A program in Python that uses a tracker; componentize-py makes it a component."""

import math

import wit_world
from componentize_py_types import Err, Ok
from wit_world.imports import tracker
from wit_world.imports.types import SymbolUpsert


def answer(result):
    """What a call answers; its error is raised by the bindings or here."""
    if isinstance(result, Err):
        raise result
    return result.value if isinstance(result, Ok) else result


def key_of(number: int) -> int:
    """The keys of this program use all 64 bits."""
    return 2**63 + number


def record_file(number: int, mtime: float) -> None:
    path = f"/src/{number}.c"
    contexts = ["context:cli"] if number % 3 == 0 else []
    answer(tracker.upsert_file(path, mtime, number, "5f1c", 0, number, key_of(number), contexts))
    symbols = [
        SymbolUpsert(name, "function", 10 * i + 1, 10 * i + 5, 0, 5, key_of(2 * number + i))
        for i, name in enumerate(["main", "helper"])
    ]
    answer(tracker.replace_symbols(path, symbols))


def count_in_context() -> int:
    """How many files have the context, two a page."""
    count, after = 0, None
    while True:
        page = answer(tracker.list_files_by_context("context:cli", after, 2))
        count, after = count + len(page.items), page.next
        if after is None:
            return count


def name_of(error: Err) -> str:
    kebab = "".join("-" + letter.lower() if letter.isupper() else letter for letter in type(error.value).__name__)
    return kebab.removeprefix("-error_-").strip("-")


def run(files: int) -> str:
    answer(tracker.begin_batch())
    for number in range(files):
        record_file(number, 1.7e9 + number)
    answer(tracker.end_batch())

    # What a discarded batch deletes is still there.
    answer(tracker.begin_batch())
    deleted = answer(tracker.delete_file("/src/0.c"))
    answer(tracker.abort_batch())

    report = f"files={answer(tracker.file_count())} symbols={answer(tracker.symbol_count())}"
    report += f" cli={count_in_context()} deleted={'true' if deleted else 'false'}"
    found = answer(tracker.get_file_by_key(key_of(1)))
    report += " found=" + ("nothing" if found is None else f"{found.path} key={found.key_hash}")

    # What is not acceptable is an error with a name, and changes nothing.
    try:
        record_file(files, math.nan)
        return report + " error=none"
    except Err as error:
        return report + f" error={name_of(error)}"


class WitWorld(wit_world.WitWorld):
    def report(self, files: int) -> str:
        try:
            return run(files)
        except Err as error:
            raise Err(name_of(error)) from error
