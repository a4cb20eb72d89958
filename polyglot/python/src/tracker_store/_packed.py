"""The packed buffers of the store interface. Lengths are u32 little-endian."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

PUT, DELETE, CLEAR = 0, 1, 2

_LENGTH = Struct("<I")
_LENGTHS = Struct("<II")
_OP = Struct("<BHII")
_ABSENT = _LENGTH.pack(0xFFFF_FFFF)


class Malformed(Exception):
    """A buffer that does not parse. From a component that is a trap."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"malformed packed buffer: {reason}")


class Op(NamedTuple):
    """A write: `PUT`, `DELETE` or `CLEAR`, and the table's number."""

    kind: int
    table: int
    key: bytes
    value: bytes


def keys(packed: bytes) -> Iterator[bytes]:
    """The keys of `transaction.get-many`."""
    at, end = 0, len(packed)
    while at < end:
        try:
            (length,) = _LENGTH.unpack_from(packed, at)
        except StructError:
            raise Malformed("it ends too early") from None
        at += 4
        key = packed[at : at + length]
        if len(key) != length:
            raise Malformed("it ends too early")
        at += length
        yield key


def ops(packed: bytes) -> list[Op]:
    """The operations of `transaction.write`."""
    found = []
    at, end = 0, len(packed)
    while at < end:
        try:
            kind, table, key_length, value_length = _OP.unpack_from(packed, at)
        except StructError:
            raise Malformed("it ends too early") from None
        middle = at + _OP.size + key_length
        found.append(Op(kind, table, packed[at + _OP.size : middle], packed[middle : middle + value_length]))
        at = middle + value_length
        if at > end:
            raise Malformed("it ends too early")
        if kind > CLEAR:
            raise Malformed("unknown operation")
        if kind == DELETE and value_length:
            raise Malformed("a delete has a value")
        if kind == CLEAR and key_length + value_length:
            raise Malformed("a clear has a key or value")
    return found


def value(found: bytes | memoryview | None) -> bytes:
    """An answer of `get-many`."""
    return _ABSENT if found is None else _LENGTH.pack(len(found)) + found


def entry(key: bytes | memoryview, value: bytes | memoryview) -> bytes:
    """An entry of a scan."""
    return b"".join((_LENGTHS.pack(len(key), len(value)), key, value))
