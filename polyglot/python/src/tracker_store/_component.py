"""Instances of the component in wasmtime, and the functions that they import.

One compiled component and one linker serve the process. The linker's functions
find their instance by its wasmtime store. Nothing may be raised through
wasmtime: what a function raises becomes an error of the interface or a trap,
and what it was is raised again where the component was called.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from importlib import resources
from struct import Struct
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime.component import Component, Func, FuncType, Linker, ResourceType

from ._environment import Environment, StoreError
from ._store import INTERFACE as STORE
from ._store import StoreContext
from ._values import VAL, Arena, Codec, Handle, Owned, Plain, Result, check_layout, codec_of
from .limits import BULK, Limits

TRACKER = "galaxybrain:tracker/tracker@0.1.0"
CLOCK = "wasi:clocks/wall-clock@0.2.6"
_RESOURCE_TYPE = 1
_TICK = 0.1
"""Seconds between looks at the deadline of calls."""

Clock = Callable[[], float]
"""The time, in seconds since 1970."""


class Failed(Exception):
    """The component trapped, or was ended: `case` is trap, deadline or too-large."""

    def __init__(self, case: str, message: str) -> None:
        super().__init__(message)
        self.case = case


_void, _size = ctypes.c_void_p, ctypes.c_size_t


def _short(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of the C API that calls nothing back and is too short to let other threads run."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ffi.dll))


_val_delete = _short("wasmtime_component_val_delete", None, _void)
_error_new = _short("wasmtime_error_new", _void, ctypes.c_char_p)
_set_deadline = _short("wasmtime_context_set_epoch_deadline", None, _void, ctypes.c_uint64)
_any_to_host = _short("wasmtime_component_resource_any_to_host", _void, _void, _void, _void)
_any_delete = _short("wasmtime_component_resource_any_delete", None, _void)
_host_new = _short("wasmtime_component_resource_host_new", _void, ctypes.c_bool, ctypes.c_uint32, ctypes.c_uint32)
_host_to_any = _short("wasmtime_component_resource_host_to_any", _void, _void, _void, _void)
_host_rep = _short("wasmtime_component_resource_host_rep", ctypes.c_uint32, _void)
_host_delete = _short("wasmtime_component_resource_host_delete", None, _void)
# This one runs the component: other threads run meanwhile.
_func_call = ctypes.CFUNCTYPE(ctypes.POINTER(ffi.wasmtime_error_t), _void, _void, _void, _size, _void, _size)(
    ("wasmtime_component_func_call", ffi.dll)
)
_Callback = ctypes.CFUNCTYPE(_size, _void, _void, _void, _void, _size, _void, _size)
_Destructor = ctypes.CFUNCTYPE(_size, _void, _void, ctypes.c_uint32)
_POINTER = Struct("=Q")


def _failure(error: BaseException) -> int:
    """An error of wasmtime's; what it takes is its own."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\\0")
    return int(_error_new(text.encode(errors="replace")))


def _take_handle(context: int, value: int) -> int:
    """The number of the resource in a value, whose handle is taken out of it."""
    (handle,) = _POINTER.unpack(ctypes.string_at(value + 8, 8))
    ctypes.memset(value + 8, 0, 8)
    host = _void()
    error = _any_to_host(context, handle, ctypes.byref(host))
    _any_delete(handle)
    if error:
        raise TypeError("a handle is not of this host")
    rep = int(_host_rep(host))
    _host_delete(host)
    return rep


def _give_handle(context: int, rep: int) -> int:
    """An owned handle of a resource."""
    host = _host_new(True, rep, _RESOURCE_TYPE)
    handle = _void()
    error = _host_to_any(context, host, ctypes.byref(handle))
    _host_delete(host)
    if error or handle.value is None:
        raise TypeError("a handle cannot be made")
    return handle.value


_REASONS = {"wasm trap: interrupt": "deadline", "fuel allocated for hostcalls has been exhausted": "too-large"}
"""What wasmtime says when it ends a call, and the case of that."""
_instances: dict[int, Instance] = {}
"""Instances by the address of their wasmtime store."""


class _Import:
    """A function that the component imports."""

    def __init__(self, interface: str, name: str, ty: Any) -> None:
        self._of = (interface, name)
        self._params = [codec_of(param) for _, param in ty.params]
        result = ty.result
        self._result: Codec | None = None if result is None else codec_of(result)
        self._fallible = isinstance(self._result, Result)
        self._gives_handle = isinstance(self._result, Result) and isinstance(self._result.ok, Handle)
        self._owned = Owned()
        self.callback = _Callback(self._call)

    def _call(self, _data: Any, context: int, _type: Any, args: int, count: int, results: int, _results: int) -> int:
        instance = None
        try:
            instance = _instances[context]
            function = instance.imports[self._of]
            given = [
                _take_handle(context, args + VAL * index)
                if isinstance(codec, Handle)
                else codec.read(args + VAL * index)
                for index, codec in enumerate(self._params)
            ]
            answer: Any
            try:
                answer = function(*given)
                if self._gives_handle:
                    answer = _give_handle(context, answer)
                if self._fallible:
                    answer = (True, answer)
            except StoreError as error:
                answer = (False, error.payload)
            if self._result is not None:
                ctypes.memmove(results, self._result.lower(answer, self._owned), VAL)
            return 0
        except BaseException as error:
            if instance is not None:
                instance.raised = error
            return _failure(error)


def _drop(_data: Any, context: int, rep: int) -> int:
    try:
        _instances[context].store.dropped(rep)
        return 0
    except BaseException as error:
        return _failure(error)


_dropped = _Destructor(_drop)
_no_finalizer = ctypes.CFUNCTYPE(None, _void)()


class _Ticker:
    """Advances the engine's clock while calls run, so that they meet their deadline."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._running = 0
        self._wanted = threading.Event()
        threading.Thread(target=self._tick, name="tracker-store deadlines", daemon=True).start()

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1
        if not self._wanted.is_set():
            self._wanted.set()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1

    def _tick(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(_TICK)
            self._engine.increment_epoch()
            with self._lock:
                if not self._running:
                    self._wanted.clear()


class Runtime:
    """The compiled component, and what instances of it need."""

    def __init__(self, wasm: bytes) -> None:
        check_layout()
        config = wasmtime.Config()
        config.wasm_component_model = True
        config.epoch_interruption = True
        # Nothing here is concurrent, and calls are cheaper without. The package has no property for it.
        _short("wasmtime_config_concurrency_support_set", None, _void, ctypes.c_bool)(config.ptr(), False)
        try:
            # Compiling takes two seconds, and what wasmtime keeps of it in the user's cache a hundredth of that.
            config.cache = True
        except wasmtime.WasmtimeError:
            # There is no home directory.
            pass
        self.engine = wasmtime.Engine(config)
        self.component = Component(self.engine, wasm)
        self.ticker = _Ticker(self.engine)
        ty = self.component.type
        self.functions: dict[str, tuple[list[tuple[str, Codec]], Codec]] = {
            name: ([(param, codec_of(of)) for param, of in function.params], codec_of(function.result))
            for name, function in self._members(ty.exports(self.engine)[TRACKER])
        }
        self._imports: list[_Import] = []
        self.linker = Linker(self.engine)
        with self.linker.root() as root:
            for interface in (STORE, CLOCK):
                with root.add_instance(interface) as instance:
                    if interface == STORE:
                        self._add_resource(instance)
                    for name, function in self._members(ty.imports(self.engine)[interface]):
                        self._add(instance, interface, name, function)

    def _members(self, interface: Any) -> list[tuple[str, FuncType]]:
        """The functions of an interface."""
        members = [(name, item.ty) for name, item in interface.ty.exports(self.engine).items()]
        return [(name, ty) for name, ty in members if isinstance(ty, FuncType)]

    def _add_resource(self, instance: Any) -> None:
        name = b"transaction"
        ty = ResourceType.host(_RESOURCE_TYPE)
        destructor = ctypes.cast(_dropped, ffi.wasmtime_component_resource_destructor_t)
        error = ffi.wasmtime_component_linker_instance_add_resource(
            instance.ptr(), ctypes.create_string_buffer(name), len(name), ty.ptr(), destructor, None, _no_finalizer
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)

    def _add(self, instance: Any, interface: str, name: str, ty: Any) -> None:
        imported = _Import(interface, name, ty)
        self._imports.append(imported)
        encoded = name.encode()
        callback = ctypes.cast(imported.callback, ffi.wasmtime_component_func_callback_t)
        error = ffi.wasmtime_component_linker_instance_add_func(
            instance.ptr(), ctypes.create_string_buffer(encoded), len(encoded), callback, None, _no_finalizer
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)


_runtimes: dict[bytes, Runtime] = {}
_compiling = threading.Lock()


def runtime(wasm: bytes | None = None) -> Runtime:
    """The runtime of a component, compiled once in a process. Without bytes the one in this package."""
    if wasm is None:
        wasm = resources.files(__package__).joinpath("tracker.wasm").read_bytes()
    with _compiling:
        if wasm not in _runtimes:
            _runtimes[wasm] = Runtime(wasm)
        return _runtimes[wasm]


class Instance:
    """An instance of the component on an environment. One thread at a time may use it."""

    def __init__(self, runtime: Runtime, environment: Environment, limits: Limits, clock: Clock) -> None:
        self._runtime = runtime
        self._limits = limits
        self._arena = Arena()
        self._result = ctypes.create_string_buffer(VAL)
        self._result_at = ctypes.addressof(self._result)
        self._deadline = 0
        self.raised: BaseException | None = None
        self.store = StoreContext(environment, limits, self._restart_deadline)
        functions = {(STORE, name): function for name, function in self.store.functions.items()}
        functions[CLOCK, "now"] = lambda: _datetime(clock())
        functions[CLOCK, "resolution"] = lambda: {"seconds": 0, "nanoseconds": 1}
        self.imports: dict[tuple[str, str], Callable[..., Any]] = functions
        self._wasm = wasmtime.Store(runtime.engine)
        self._wasm.set_limits(memory_size=limits.memory)
        self._context = ctypes.cast(self._wasm._context(), _void).value or 0
        _instances[self._context] = self
        try:
            self._begin(limits.call_deadline)
            instance = runtime.linker.instantiate(self._wasm, runtime.component)
            tracker = instance.get_export_index(self._wasm, TRACKER)
            self._functions: dict[str, tuple[Func, int, list[Codec], Codec]] = {}
            for name, (params, result) in runtime.functions.items():
                index = instance.get_export_index(self._wasm, name, tracker)
                function = None if index is None else instance.get_func(self._wasm, index)
                if function is None:
                    raise TypeError(f"the component does not export {name}")
                address = ctypes.addressof(function._func)
                self._functions[name] = (function, address, [codec for _, codec in params], result)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Aborts the instance's transactions and frees it."""
        try:
            self.store.abort_all()
        finally:
            _instances.pop(self._context, None)
            self._wasm.close()

    def _begin(self, seconds: float) -> None:
        self._deadline = int(seconds / _TICK) + 2
        self._restart_deadline()

    def _restart_deadline(self) -> None:
        _set_deadline(self._context, self._deadline)

    def call(self, name: str, arguments: Sequence[Plain]) -> tuple[bool, Plain]:
        """Calls a function: whether it answered ok, and what. Raises a `Failed` after a trap:
        the instance is then of no use."""
        _, function, params, result = self._functions[name]
        arena = self._arena
        arena.reset()
        packed = b"".join([codec.lower(argument, arena) for codec, argument in zip(params, arguments, strict=True)])
        self._begin(self._limits.bulk_deadline if name in BULK else self._limits.call_deadline)
        with self._runtime.ticker:
            error = _func_call(function, self._context, arena.put(packed), len(params), self._result_at, 1)
        raised, self.raised = self.raised, None
        if error:
            message = str(wasmtime.WasmtimeError._from_ptr(error))
            if raised is not None and not isinstance(raised, Exception):
                # An interrupt, for instance.
                raise raised
            case = "trap"
            if raised is None:
                case = next((case for text, case in _REASONS.items() if text in message), case)
            raise Failed(case, str(raised) if raised is not None else message) from raised
        try:
            answer: tuple[bool, Plain] = result.read(self._result_at)
            return answer
        finally:
            _val_delete(self._result_at)
            # The next answer is assigned: what is there then is dropped again.
            ctypes.memset(self._result_at, 0, VAL)


def _datetime(now: float) -> dict[str, int]:
    nanoseconds = max(0, round(now * 1e9))
    return {"seconds": nanoseconds // 10**9, "nanoseconds": nanoseconds % 10**9}
