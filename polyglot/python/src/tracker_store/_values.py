"""Component values in the memory of wasmtime's C API, read and written whole.

The `wasmtime` package converts a value field by field and a `list<u8>` byte by
byte, and asks for the types anew in every call: a look-up takes half a
millisecond and a page of entries a fifth of a second. Here a type is looked at once and becomes a
`Codec`, which unpacks a record with one `struct` call and a buffer with one
slice. The layout is that of `wasmtime_component_val_t` in the wasmtime that
this package pins; `check_layout` compares it with the package's own
declaration before anything is read.

Python's values: integers, `bool`, `float`, `str`; `bytes` for `list<u8>`,
lists, tuples; a record is a dictionary with WIT's names, an enum its case, a
variant its case or `{case: payload}`, an option None or the value.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, Protocol

from wasmtime import _ffi as ffi
from wasmtime.component import _types as wit

Plain = Any
"""A value as this module's documentation has it."""

VAL = 32
"""Bytes of a value: a byte that says its kind, and from byte 8 its payload."""
_ENTRY = 48
"""Bytes of a record's field: the name's size and address, and a value."""

_BOOL, _U8, _S64, _U64, _F64 = 0, 2, 7, 8, 10
_STRING, _LIST, _RECORD, _TUPLE, _VARIANT, _ENUM, _OPTION, _RESULT, _RESOURCE = 12, 13, 14, 15, 16, 17, 18, 19, 21

_string_at = ctypes.string_at


def check_layout() -> None:
    """Raises an ImportError if the package's values are not laid out as here."""
    val: Any = ffi.wasmtime_component_val_t
    union, entry = ffi.wasmtime_component_valunion_t, ffi.wasmtime_component_valrecord_entry_t
    variant: Any = ffi.wasmtime_component_valvariant_t
    result: Any = ffi.wasmtime_component_valresult_t
    found = (
        ctypes.sizeof(val),
        val.of.offset,
        ctypes.sizeof(entry),
        entry.val.offset,
        variant.val.offset,
        result.val.offset,
        ctypes.sizeof(union),
        ffi.WASMTIME_COMPONENT_U8.value,
        ffi.WASMTIME_COMPONENT_STRING.value,
        ffi.WASMTIME_COMPONENT_RESULT.value,
        ffi.WASMTIME_COMPONENT_RESOURCE.value,
    )
    if found != (VAL, 8, _ENTRY, 16, 16, 8, 24, _U8, _STRING, _RESULT, _RESOURCE):
        raise ImportError(
            f"this wasmtime lays component values out in another way ({found}); install the version that tracker-store pins"
        )


class Memory(Protocol):
    """Where lowered values go. Each method returns an address."""

    def text(self, data: bytes) -> int:
        """Bytes of a text or name."""

    def vals(self, packed: bytes | bytearray, count: int) -> int:
        """Packed values, one after the other."""

    def entries(self, packed: bytes, count: int) -> int:
        """Packed fields of a record."""

    def val(self, packed: bytes) -> int:
        """A single packed value."""


class Arena:
    """Memory of Python's, for arguments: wasmtime reads them and keeps nothing. Valid until `reset`."""

    _CHUNK = 64 << 10

    def __init__(self) -> None:
        self._chunk = ctypes.create_string_buffer(self._CHUNK)
        self._base = ctypes.addressof(self._chunk)
        self._used = 0
        self._large: list[Any] = []

    def reset(self) -> None:
        """Forgets everything."""
        self._used = 0
        if self._large:
            self._large.clear()

    def put(self, data: bytes | bytearray) -> int:
        """Copies bytes to an address that is a multiple of 8."""
        length = len(data)
        start = (self._used + 7) & ~7
        if start + length > self._CHUNK:
            own = (ctypes.c_char * length).from_buffer_copy(data)
            self._large.append(own)
            return ctypes.addressof(own)
        address = self._base + start
        ctypes.memmove(address, bytes(data), length)
        self._used = start + length
        return address

    def text(self, data: bytes) -> int:
        return self.put(data)

    def vals(self, packed: bytes | bytearray, count: int) -> int:
        return self.put(packed)

    def entries(self, packed: bytes, count: int) -> int:
        return self.put(packed)

    def val(self, packed: bytes) -> int:
        return self.put(packed)


def _prototype(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of the C API that is too short to let other threads run meanwhile."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ffi.dll))


_void, _size = ctypes.c_void_p, ctypes.c_size_t
_byte_vec_new = _prototype("wasm_byte_vec_new", None, _void, _size, ctypes.c_char_p)
_vallist_new_uninit = _prototype("wasmtime_component_vallist_new_uninit", None, _void, _size)
_valrecord_new_uninit = _prototype("wasmtime_component_valrecord_new_uninit", None, _void, _size)
_val_new = _prototype("wasmtime_component_val_new", _void, ctypes.c_char_p)


class Owned:
    """Memory of wasmtime's, for what a host function returns: wasmtime frees it."""

    def __init__(self) -> None:
        self._vector = (ctypes.c_uint64 * 2)()
        self._at = ctypes.addressof(self._vector)

    def text(self, data: bytes) -> int:
        _byte_vec_new(self._at, len(data), data)
        return self._vector[1]

    def vals(self, packed: bytes | bytearray, count: int) -> int:
        _vallist_new_uninit(self._at, count)
        address = self._vector[1]
        if count:
            source = packed if isinstance(packed, bytes) else (ctypes.c_char * len(packed)).from_buffer(packed)
            ctypes.memmove(address, source, count * VAL)
        return address

    def entries(self, packed: bytes, count: int) -> int:
        _valrecord_new_uninit(self._at, count)
        address = self._vector[1]
        ctypes.memmove(address, packed, count * _ENTRY)
        return address

    def val(self, packed: bytes) -> int:
        return int(_val_new(packed))


class Misfit(TypeError):
    """A value that is not of its type."""

    def __init__(self, value: object, expected: str) -> None:
        text = repr(value)
        super().__init__(f"expected {expected}, not {text if len(text) <= 80 else text[:80] + '…'}")


_WORD = Struct("<B7xQ16x")
_WORDS = Struct("<B7xQQ8x")
_NAME = Struct("<QQ")


class Codec:
    """Reads and writes the values of a type."""

    code: str
    """The payload's 24 bytes, as `struct` names them."""
    kind: int
    name: str
    """The type as WIT writes it."""

    def __init__(self) -> None:
        self._payload = Struct("<8x" + self.code)

    def lift(self, *words: Any) -> Plain:
        """The value of the unpacked payload."""
        raise NotImplementedError

    def lower(self, value: Plain, memory: Memory) -> bytes:
        """The packed value. Raises a `Misfit`, or an OverflowError for a number that is out of range."""
        raise NotImplementedError

    def read(self, address: int) -> Plain:
        """The value at an address."""
        return self.lift(*self._payload.unpack(_string_at(address, VAL)))

    def read_many(self, address: int, count: int) -> list[Plain]:
        """Values, one after the other."""
        if not count:
            return []
        lift = self.lift
        return [lift(*words) for words in self._payload.iter_unpack(_string_at(address, VAL * count))]


class Bool(Codec):
    code, kind, name = "?23x", _BOOL, "bool"

    def lift(self, *words: Any) -> Plain:
        return words[0]

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if value is not True and value is not False:
            raise Misfit(value, "a bool")
        return _WORD.pack(_BOOL, value)


class Integer(Codec):
    def __init__(self, name: str, kind: int, letter: str, bits: int) -> None:
        self.name, self.kind = name, kind
        size = bits // 8
        self.code = f"{letter}{24 - size}x"
        self._pack = Struct(f"<B7x{self.code}").pack
        signed = letter.islower()
        self._least = -(1 << (bits - 1)) if signed else 0
        self._greatest = (1 << (bits - signed)) - 1
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        return words[0]

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Misfit(value, f"an integer ({self.name})")
        if not self._least <= value <= self._greatest:
            raise OverflowError(f"{value} is not a {self.name}: it goes from {self._least} to {self._greatest}")
        return self._pack(self.kind, value)


class Float(Codec):
    code, kind, name = "d16x", _F64, "f64"
    _pack = Struct("<B7xd16x").pack

    def lift(self, *words: Any) -> Plain:
        return words[0]

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if not isinstance(value, (float, int)) or isinstance(value, bool):
            raise Misfit(value, "a number")
        return self._pack(_F64, value)


class String(Codec):
    code, kind, name = "QQ8x", _STRING, "string"

    def lift(self, *words: Any) -> Plain:
        size, address = words
        return _string_at(address, size).decode() if size else ""

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if not isinstance(value, str):
            raise Misfit(value, "a text")
        data = value.encode()
        return _WORDS.pack(_STRING, len(data), memory.text(data))


class Bytes(Codec):
    """`list<u8>`: a value of 32 bytes for each byte."""

    code, kind, name = "QQ8x", _LIST, "list<u8>"

    def lift(self, *words: Any) -> Plain:
        size, address = words
        return _string_at(address, VAL * size)[8::VAL] if size else b""

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise Misfit(value, "bytes")
        size = len(value)
        packed = bytearray(VAL * size)
        packed[::VAL] = bytes((_U8,)) * size
        packed[8::VAL] = value
        return _WORDS.pack(_LIST, size, memory.vals(packed, size))


class List(Codec):
    code, kind = "QQ8x", _LIST

    def __init__(self, item: Codec) -> None:
        self.item, self.name = item, f"list<{item.name}>"
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        size, address = words
        return self.item.read_many(address, size)

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise Misfit(value, f"a list ({self.name})")
        lower = self.item.lower
        packed = b"".join([lower(item, memory) for item in value])
        return _WORDS.pack(_LIST, len(value), memory.vals(packed, len(value)))


class Tuple(Codec):
    code, kind = "QQ8x", _TUPLE

    def __init__(self, items: list[Codec]) -> None:
        self.items, self.name = items, f"tuple<{', '.join(item.name for item in items)}>"
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        _, address = words
        return tuple(item.read(address + VAL * index) for index, item in enumerate(self.items))

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if not isinstance(value, (tuple, list)) or len(value) != len(self.items):
            raise Misfit(value, f"a {self.name}")
        packed = b"".join([item.lower(part, memory) for item, part in zip(self.items, value, strict=True)])
        return _WORDS.pack(_TUPLE, len(value), memory.vals(packed, len(value)))


class Record(Codec):
    code, kind = "QQ8x", _RECORD

    def __init__(self, fields: list[tuple[str, Codec]]) -> None:
        self.fields = fields
        self.name = f"record {{{', '.join(name for name, _ in fields)}}}"
        self._names = [name for name, _ in fields]
        self._encoded = [name.encode() for name in self._names]
        self._all = Struct("<" + "".join("24x" + codec.code for _, codec in fields))
        # Of each field where its words are, and what becomes of them; None where they are the value.
        self._parts: list[tuple[int, int, Callable[..., Plain] | None]] = []
        start = 0
        for _, codec in fields:
            width = len(Struct("<" + codec.code).unpack(bytes(24)))
            direct = isinstance(codec, (Bool, Integer, Float))
            self._parts.append((start, start + width, None if direct else codec.lift))
            start += width
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        size, address = words
        values = self._all.unpack(_string_at(address, _ENTRY * size))
        parts = zip(self._names, self._parts, strict=True)
        return {name: values[start] if lift is None else lift(*values[start:end]) for name, (start, end, lift) in parts}

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if (
            not isinstance(value, Mapping)
            or len(value) != len(self.fields)
            or not all(name in value for name in self._names)
        ):
            raise Misfit(value, f"a {self.name}")
        parts = []
        for (name, codec), encoded in zip(self.fields, self._encoded, strict=True):
            parts.append(_NAME.pack(len(encoded), memory.text(encoded)))
            parts.append(codec.lower(value[name], memory))
        return _WORDS.pack(_RECORD, len(self.fields), memory.entries(b"".join(parts), len(self.fields)))


class Enum(Codec):
    code, kind = "QQ8x", _ENUM

    def __init__(self, cases: list[str]) -> None:
        self.cases = cases
        self.name = f"enum {{{', '.join(cases)}}}"
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        size, address = words
        return _string_at(address, size).decode()

    def lower(self, value: Plain, memory: Memory) -> bytes:
        if value not in self.cases:
            raise Misfit(value, f"one of {', '.join(self.cases)}")
        data = value.encode()
        return _WORDS.pack(_ENUM, len(data), memory.text(data))


class Variant(Codec):
    code, kind = "QQQ", _VARIANT
    _pack = Struct("<B7xQQQ").pack

    def __init__(self, cases: dict[str, Codec | None]) -> None:
        self.cases = cases
        self.name = f"variant {{{', '.join(cases)}}}"
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        size, address, payload = words
        case = _string_at(address, size).decode()
        codec = self.cases[case]
        return case if codec is None else {case: codec.read(payload)}

    def lower(self, value: Plain, memory: Memory) -> bytes:
        case, payload = value, None
        if isinstance(value, Mapping) and len(value) == 1:
            ((case, payload),) = value.items()
        if not isinstance(case, str) or case not in self.cases or (self.cases[case] is None) != (case is value):
            raise Misfit(value, f"a {self.name}")
        codec = self.cases[case]
        inner = 0 if codec is None else memory.val(codec.lower(payload, memory))
        data = case.encode()
        return self._pack(_VARIANT, len(data), memory.text(data), inner)


class Option(Codec):
    code, kind = "Q16x", _OPTION

    def __init__(self, some: Codec) -> None:
        self.some, self.name = some, f"option<{some.name}>"
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        return self.some.read(words[0]) if words[0] else None

    def lower(self, value: Plain, memory: Memory) -> bytes:
        return _WORD.pack(_OPTION, 0 if value is None else memory.val(self.some.lower(value, memory)))


class Result(Codec):
    """A result is returned, or raised by who calls: its value here is a pair (is it ok, the payload)."""

    code, kind = "?7xQ8x", _RESULT
    _pack = Struct("<B7x?7xQ8x").pack

    def __init__(self, ok: Codec | None, error: Codec | None) -> None:
        self.ok, self.error = ok, error
        self.name = f"result<{ok.name if ok else '_'}, {error.name if error else '_'}>"
        super().__init__()

    def lift(self, *words: Any) -> Plain:
        is_ok, payload = words
        codec = self.ok if is_ok else self.error
        return is_ok, None if codec is None else codec.read(payload)

    def lower(self, value: Plain, memory: Memory) -> bytes:
        is_ok, payload = value
        codec = self.ok if is_ok else self.error
        return self._pack(_RESULT, is_ok, 0 if codec is None else memory.val(codec.lower(payload, memory)))


class Handle(Codec):
    """A resource: the address of wasmtime's handle."""

    code, kind, name = "Q16x", _RESOURCE, "resource"

    def lift(self, *words: Any) -> Plain:
        return words[0]

    def lower(self, value: Plain, memory: Memory) -> bytes:
        return _WORD.pack(_RESOURCE, value)


_SIMPLE: dict[type, Callable[[], Codec]] = {
    wit.Bool: Bool,
    wit.U8: lambda: Integer("u8", _U8, "B", 8),
    wit.U16: lambda: Integer("u16", 4, "H", 16),
    wit.U32: lambda: Integer("u32", 6, "I", 32),
    wit.U64: lambda: Integer("u64", _U64, "Q", 64),
    wit.S64: lambda: Integer("s64", _S64, "q", 64),
    wit.F64: Float,
    wit.String: String,
    wit.OwnType: Handle,
    wit.BorrowType: Handle,
}


def codec_of(ty: Any) -> Codec:
    """The codec of a type of the `wasmtime` package's."""
    simple = _SIMPLE.get(type(ty))
    if simple is not None:
        return simple()
    if isinstance(ty, wit.ListType):
        item = ty.element
        return Bytes() if isinstance(item, wit.U8) else List(codec_of(item))
    if isinstance(ty, wit.OptionType):
        return Option(codec_of(ty.payload))
    if isinstance(ty, wit.RecordType):
        return Record([(name, codec_of(field)) for name, field in ty.fields])
    if isinstance(ty, wit.TupleType):
        return Tuple([codec_of(item) for item in ty.elements])
    if isinstance(ty, wit.EnumType):
        return Enum(ty.names)
    if isinstance(ty, wit.VariantType):
        return Variant({name: _optional(case) for name, case in ty.cases})
    if isinstance(ty, wit.ResultType):
        return Result(_optional(ty.ok), _optional(ty.err))
    raise TypeError(f"a type that no interface of the tracker has: {ty}")


def _optional(ty: Any) -> Codec | None:
    return None if ty is None else codec_of(ty)
