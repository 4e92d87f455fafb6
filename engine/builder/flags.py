"""The flags of an instruction (`--name=value`), checked against those that it knows."""

from collections.abc import Mapping, Sequence
from enum import Enum

from engine.builder.errors import DockerfileError
from engine.builder.text import did_you_mean


class Kind(Enum):
    """What a flag takes: a text, several, or true and false."""

    TEXT = "text"
    TEXTS = "texts"
    SWITCH = "switch"


class Flags:
    """The flags as given."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """The value of a flag, "" where it's absent."""
        return self._values[name][0] if name in self._values else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a flag that may be repeated."""
        return tuple(self._values.get(name, ()))

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.text(name) == "true"


def parse(given: Sequence[str], known: Mapping[str, Kind]) -> Flags:
    """Read flags. Raises DockerfileError without a place."""
    values: dict[str, list[str]] = {}
    for flag in given:
        name, equals, value = flag[2:].partition("=")
        kind = known.get(name)
        if kind is None:
            raise DockerfileError(f"unknown flag: --{name}{did_you_mean(name, known)}")
        if name in values and kind is not Kind.TEXTS:
            raise DockerfileError(f"duplicate flag specified: --{name}")
        if kind is Kind.SWITCH:
            value = _truth(name, value, bool(equals))
        elif not equals:
            raise DockerfileError(f"missing a value on flag: --{name}")
        values.setdefault(name, []).append(value)
    return Flags(values)


def _truth(name: str, value: str, given: bool) -> str:
    if not given:
        return "true"
    if not value:
        raise DockerfileError(f"missing a value on flag: --{name}")
    if value.lower() not in ("true", "false"):
        raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
    return value.lower()
