"""Dataclasses that cost nothing at import: a class is completed when its first instance is made.

The standard decorator writes and compiles code for each class, 0.8 ms a class. The engine has a
hundred, a few of which are needed before its first answer; that was a third of its start, and
seconds of it in an emulated VM. To a type checker this is `dataclasses.dataclass`.

Until its first instance a class has no fields for `dataclasses.fields`; instances always do.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass as _complete
from dataclasses import field as field
from dataclasses import replace as replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        """The decorator, with dataclass's options. Classes with slots are completed at once."""
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        if options.get("slots"):
            return _complete(cls, **options)
        return _defer(cls, options)


_lock = threading.RLock()
_pending: dict[type, dict[str, Any]] = {}


def complete_all() -> None:
    """Complete what is pending: in a quiet moment, so that no request has to wait for it."""
    for cls in list(_pending):
        _finish(cls)


def _defer(cls: type, options: dict[str, Any]) -> type:
    def __init__(self: Any, *values: Any, **named: Any) -> None:
        _finish(cls)
        vars(cls)["__init__"](self, *values, **named)  # another one by now

    _pending[cls] = options
    _set_init(cls, __init__)
    return cls


def _finish(cls: type) -> None:
    """Once, whichever thread comes first; bases before, as their fields come first."""
    with _lock:
        for base in reversed(cls.__mro__):
            if (options := _pending.get(base)) is not None:
                _complete_in_place(base, options)
                del _pending[base]


def _complete_in_place(cls: type, options: dict[str, Any]) -> None:
    """Give a class all methods, __init__ last and at one stroke: threads may be calling it."""
    body = {
        name: value
        for name, value in vars(cls).items()
        if name not in ("__init__", "__dict__", "__weakref__")
    }
    twin = type(cls)(cls.__name__, cls.__bases__, body)
    plain = {**options, "eq": False, "repr": False, "order": False}
    init = vars(_complete(**plain)(twin))["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    _complete(**{**options, "init": False})(cls)
    _set_init(cls, init)


def _set_init(cls: type, init: Callable[..., None]) -> None:
    type.__setattr__(cls, "__init__", init)
