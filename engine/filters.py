"""Docker's `filters` query parameter: parsing and the ways a value may match."""

import json
import re
import warnings
from collections.abc import Collection, Mapping
from typing import Any, Self

from engine.errors import BadRequest

TRUE_WORDS = frozenset({"1", "true"})
FALSE_WORDS = frozenset({"0", "false"})

_LONGEST = 512  # of regular expressions and of names that they are tried on
_MOST_REPEATS = 3
_MOST_OPTIONS = 8
_ESCAPED = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)  # escapes and classes: one character each
_REPEATS = ("*", "+", "{")
_UNBOUNDED = re.compile(r"[*+{]")
_BRANCHING = re.compile(r"[*+{?|]")


class Filters:
    """Filter key -> values. Values of one key are alternatives, keys must all hold."""

    def __init__(self, values: Mapping[str, Collection[str]] | None = None) -> None:
        self._values = {key: list(entries) for key, entries in (values or {}).items()}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `{"key": ["v"]}` or the older `{"key": {"v": true}}`; "" is no filter.

        Raises BadRequest on anything else.
        """
        if not text:
            return cls()
        try:
            decoded: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadRequest("invalid filter") from error
        if decoded is None:
            return cls()
        if not isinstance(decoded, dict):
            raise BadRequest("invalid filter")
        return cls({key: _entries(key, entry) for key, entry in decoded.items()})

    def __bool__(self) -> bool:
        return any(self._values.values())

    def __contains__(self, key: str) -> bool:
        return bool(self._values.get(key))

    def keys(self) -> list[str]:
        """The filter keys that were given, even without a value."""
        return list(self._values)

    def values(self, key: str) -> list[str]:
        """The values given for one key; none is an empty list."""
        return list(self._values.get(key, ()))

    def check(self, allowed: Collection[str]) -> None:
        """Raise BadRequest for a key that this list does not know."""
        for key in self._values:
            if key not in allowed:
                raise BadRequest(f"invalid filter '{key}'")

    def boolean(self, key: str, default: bool = False) -> bool:
        """A true/false filter such as `dangling`; BadRequest when it's neither or both."""
        words = self._values.get(key)
        if not words:
            return default
        truths = {self._truth(key, word) for word in words}
        if len(truths) != 1:
            raise BadRequest(f"invalid filter '{key}={_go_list(words)}'")
        return truths.pop()

    def labels(self, mapping: Mapping[str, str]) -> bool:
        """Whether the labels hold every `label` (k or k=v), and not all of `label!`."""
        if "label" in self and not _holds_all(self._values["label"], mapping):
            return False
        return not ("label!" in self and _holds_all(self._values["label!"], mapping))

    def matches(self, key: str, value: str) -> bool:
        """Whether the key is absent or one of its values is exactly this one."""
        return key not in self or value in self._values[key]

    def fuzzy(self, key: str, value: str) -> bool:
        """As `matches`, but a value may also be a prefix or a regular expression found anywhere."""
        if key not in self:
            return True
        return any(_fuzzy(pattern, value) for pattern in self._values[key])

    def _truth(self, key: str, word: str) -> bool:
        if word.lower() in TRUE_WORDS:
            return True
        if word.lower() in FALSE_WORDS:
            return False
        raise BadRequest(f"invalid filter '{key}={_go_list(self._values[key])}'")


def _entries(key: str, entry: Any) -> list[str]:
    if isinstance(entry, dict):
        return [value for value, wanted in entry.items() if wanted]
    if isinstance(entry, list) and all(isinstance(value, str) for value in entry):
        return entry
    raise BadRequest(f"invalid filter '{key}': its values must be a list of strings")


def _holds_all(wanted: Collection[str], labels: Mapping[str, str]) -> bool:
    for entry in wanted:
        key, equals, value = entry.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def _fuzzy(pattern: str, value: str) -> bool:
    if value.startswith(pattern):
        return True
    if takes_long(pattern):
        raise BadRequest(f"invalid filter: the regular expression '{pattern[:80]}' is too complex")
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of "[["
            return len(value) <= _LONGEST and re.search(pattern, value) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def takes_long(pattern: str) -> bool:
    """Whether a search may try far too many ways: it would stop the engine meanwhile.

    Those are repetitions of what repeats or has alternatives itself, and many beside each other.
    """
    if len(pattern) > _LONGEST:
        return True
    bare = _ESCAPED.sub("x", pattern)
    groups: list[int] = []  # positions of the parentheses that are open
    for position, character in enumerate(bare):
        if character == "(":
            groups.append(position)
        elif character == ")" and groups:
            inner = bare[groups.pop() + 1 : position].removeprefix("?:")
            if bare[position + 1 : position + 2] in _REPEATS and _BRANCHING.search(inner):
                return True
    return len(_UNBOUNDED.findall(bare)) > _MOST_REPEATS or bare.count("?") > _MOST_OPTIONS


def _go_list(words: Collection[str]) -> str:
    return "[" + " ".join(words) + "]"
