"""`RUN --mount=...`: comma-separated fields into a Mount.

Reference: "RUN --mount" in the Dockerfile reference.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from engine.builder.errors import DockerfileError
from engine.builder.instructions import Mount, MountType, Sharing
from engine.builder.text import did_you_mean, quote

_KEYS = (
    "type from source target readonly id sharing required size mode uid gid src dst destination "
    "ro rw readwrite env"
).split()
_BARE = frozenset({"readonly", "ro", "readwrite", "rw", "required"})
_VARIABLE = re.compile(r"\$.", re.DOTALL)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?) ?(?:([kKmMgGtTpP])(?:[iI]?[bB])?|[bB])?", re.ASCII)
_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_TRUE = frozenset("1 t T TRUE true True".split())
_FALSE = frozenset("0 f F FALSE false False".split())
_LARGEST = 0xFFFFFFFF

Expander = Callable[[str], str]


def check(text: str) -> None:
    """What can be told before variables have values. Raises DockerfileError without a place."""
    for field_text in _fields(text):
        key, _, value = field_text.partition("=")
        if key.lower() == "from" and _VARIABLE.search(value):
            raise DockerfileError(
                "'from' doesn't support variable expansion, define alias stage instead"
            )


def source_of(text: str) -> str:
    """The `from` of a mount that is not expanded yet ("" if it has none)."""
    found = ""
    for field_text in _fields(text):
        key, _, value = field_text.partition("=")
        if key.lower() == "from":
            found = value
    return found


def parse(text: str, expand: Expander) -> Mount:
    """Read one mount, its values expanded. Raises DockerfileError without a place."""
    reading = _Mount(expand)
    for field_text in _fields(text):
        reading.take(field_text)
    return reading.mount()


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise DockerfileError(f"failed to parse csv mounts: {error}") from error
    if len(rows) != 1 or not rows[0]:
        raise DockerfileError("failed to parse csv mounts: EOF")
    return rows[0]


class _Mount:
    """A mount while its fields come in; some of them depend on the type told before."""

    def __init__(self, expand: Expander) -> None:
        self._expand = expand
        self._type = MountType.BIND
        self._values: dict[str, Any] = {}

    def take(self, text: str) -> None:
        """Take one field."""
        name, equals, value = text.partition("=")
        key = name.lower()
        if not equals:
            if key not in _BARE:
                raise DockerfileError(f"invalid field '{text}' must be a key=value pair")
            value = "true"
        else:
            value = self._expand(value)
        taking = _TAKING.get(key)
        if taking is None:
            hint = did_you_mean(key, _KEYS)
            raise DockerfileError(f"unexpected key '{key}' in '{text}'{hint}")
        taking(self, key, value)

    def mount(self) -> Mount:
        """The whole. Raises DockerfileError where fields don't fit each other."""
        kind, values = self._type, self._values
        if kind not in (MountType.SECRET, MountType.SSH, MountType.CACHE):
            for key in ("mode", "uid", "gid"):
                if key in values:
                    raise DockerfileError(f"{key} not allowed for {quote(kind)} type mounts")
        values.setdefault("readonly", kind not in (MountType.CACHE, MountType.TMPFS))
        if kind is MountType.SECRET:
            self._check_secret()
        if "sharing" in values and kind is not MountType.CACHE:
            raise DockerfileError(f"invalid cache sharing set for {kind} mount")
        known = {field.name for field in fields(Mount(kind))}
        return Mount(kind, **{key: value for key, value in values.items() if key in known})

    def _check_secret(self) -> None:
        values = self._values
        if values.get("from_"):
            raise DockerfileError("secret mount should not have a from")
        if "sharing" in values:
            raise DockerfileError("secret mount should not define sharing")
        if not any(values.get(key) for key in ("source", "target", "id")):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if values.get("source") and values.get("id"):
            raise DockerfileError("both source and id can't be set")

    def take_type(self, key: str, value: str) -> None:
        """`type=`."""
        if value.lower() not in list(MountType):
            hint = did_you_mean(value, list(MountType))
            raise DockerfileError(f"unsupported mount type {quote(value)}{hint}")
        self._type = MountType(value.lower())

    def take_sharing(self, key: str, value: str) -> None:
        """`sharing=`."""
        if value.lower() not in list(Sharing):
            hint = did_you_mean(value, list(Sharing))
            raise DockerfileError(f"unsupported sharing value {quote(value)}{hint}")
        self._values["sharing"] = Sharing(value.lower())

    def take_text(self, key: str, value: str) -> None:
        """A text."""
        self._values[_NAMES.get(key, key)] = value

    def take_writable(self, key: str, value: str) -> None:
        """`ro`, `rw` and their long forms."""
        self._values["readonly"] = _truth(key, value) == (key in ("ro", "readonly"))

    def take_required(self, key: str, value: str) -> None:
        """`required`."""
        self._only(key, MountType.SECRET, MountType.SSH)
        self._values["required"] = _truth(key, value)

    def take_size(self, key: str, value: str) -> None:
        """`size=`: bytes, or with a unit of 1024."""
        self._only(key, MountType.TMPFS)
        match = _SIZE.fullmatch(value)
        if match is None or len(value) > 32:
            raise DockerfileError(f"invalid value for {key}: {value}")
        unit = _UNITS[match[2].lower()] if match[2] else 0
        self._values["size"] = int(float(match[1]) * (1 << unit))

    def take_number(self, key: str, value: str) -> None:
        """`mode=` (octal), `uid=`, `gid=`."""
        digits = "01234567" if key == "mode" else "0123456789"
        number = -1
        if value and len(value) <= 32 and not value.strip(digits):
            number = int(value, len(digits))
        if not 0 <= number <= _LARGEST:
            raise DockerfileError(f"invalid value {value} for {key}")
        self._values[key] = number

    def _only(self, key: str, *types: MountType) -> None:
        if self._type not in types:
            raise DockerfileError(f"unexpected key '{key}' for mount type '{self._type}'")


def _truth(key: str, value: str) -> bool:
    if value not in _TRUE | _FALSE:
        raise DockerfileError(f"invalid value for {key}: {value}")
    return value in _TRUE


_NAMES = {"from": "from_", "src": "source", "dst": "target", "destination": "target"}
_TAKING: dict[str, Callable[[_Mount, str, str], None]] = {
    "type": _Mount.take_type,
    "sharing": _Mount.take_sharing,
    "required": _Mount.take_required,
    "size": _Mount.take_size,
    **dict.fromkeys(("mode", "uid", "gid"), _Mount.take_number),
    **dict.fromkeys(("ro", "readonly", "rw", "readwrite"), _Mount.take_writable),
    **dict.fromkeys(
        ("from", "source", "src", "target", "dst", "destination", "id", "env"), _Mount.take_text
    ),
}
