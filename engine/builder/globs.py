"""Patterns of file names: those of COPY's sources, and those of .dockerignore with their `**`.

The grammar is Go's filepath.Match; in .dockerignore `**` goes through any number of folders, and a
class may hold the slash.
"""

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache

from engine.values import dataclass

_FEW_STEPS = 1_000_000  # that a regular expression may take before steps are counted instead
_SYNTAX = "syntax error in pattern"


class BadPattern(ValueError):
    """The text is no pattern."""


class Many(Enum):
    """Pieces of a pattern that stand for any number of characters."""

    NAME = "[^/]*"  # `*`
    FOLDERS = "(?s:.*/)?"  # `**/`, also `**` before something
    REST = "(?s:.*)"  # `**` at the end


@dataclass(frozen=True)
class One:
    """A piece that stands for one character: a regular expression."""

    regex: str


Piece = str | One | Many


class Glob:
    """A pattern that whole names are matched with. Raises BadPattern."""

    def __init__(self, pattern: str, *, deep: bool) -> None:
        self._pieces = _collapsed(_Parser(pattern, deep).pieces())
        self._regex = re.compile("".join(map(_regex, self._pieces)))
        self._many = sum(isinstance(piece, Many) for piece in self._pieces)
        self._steps: list[Callable[[str], bool] | Many] | None = None

    def matches(self, name: str) -> bool:
        """Whether the whole name is what the pattern says."""
        if self._many < 2 or len(name) ** self._many <= _FEW_STEPS:
            return self._regex.fullmatch(name) is not None
        return self._matches_stepwise(name)

    def _matches_stepwise(self, name: str) -> bool:
        """As the regular expression, but never going back: all places at once."""
        if self._steps is None:
            self._steps = [
                piece if isinstance(piece, Many) else _test(piece) for piece in self._pieces
            ]
        places = {0}
        for step in self._steps:
            if not isinstance(step, Many):
                places = {at + 1 for at in places if at < len(name) and step(name[at])}
            elif step is Many.NAME:
                places = _through_name(name, places)
            elif step is Many.REST:
                places = set(range(min(places), len(name) + 1)) if places else places
            else:
                first = min(places, default=len(name))
                places |= {at + 1 for at in range(first, len(name)) if name[at] == "/"}
            if not places:
                return False
        return len(name) in places


def _through_name(name: str, places: set[int]) -> set[int]:
    found: set[int] = set()
    for place in sorted(places):
        while place not in found:
            found.add(place)
            if place == len(name) or name[place] == "/":
                break
            place += 1
    return found


@lru_cache(maxsize=512)
def compiled(pattern: str, deep: bool) -> Glob:
    """A Glob, kept for the next time. Raises BadPattern."""
    return Glob(pattern, deep=deep)


def match(pattern: str, name: str) -> bool:
    """Whether a name is what a pattern without `**` says. Raises BadPattern."""
    return compiled(pattern, False).matches(name)


def is_wild(pattern: str) -> bool:
    """Whether the pattern may stand for several names."""
    return any(character in pattern for character in "*?[\\")


def _collapsed(pieces: list[Piece]) -> list[Piece]:
    """Without repetitions of what may be empty: they mean the same and cost time."""
    kept: list[Piece] = []
    for piece in pieces:
        if not (isinstance(piece, Many) and kept and kept[-1] is piece):
            kept.append(piece)
    return kept


def _regex(piece: Piece) -> str:
    if isinstance(piece, Many):
        return piece.value
    return piece.regex if isinstance(piece, One) else re.escape(piece)


def _test(piece: str | One) -> Callable[[str], bool]:
    regex = re.compile(_regex(piece))
    return lambda character: regex.fullmatch(character) is not None


class _Parser:
    """A pattern being cut into pieces; literals are one character each."""

    def __init__(self, pattern: str, deep: bool) -> None:
        self._pattern = pattern
        self._deep = deep
        self._at = 0

    def pieces(self) -> list[Piece]:
        """All of them."""
        pieces: list[Piece] = []
        while self._at < len(self._pattern):
            pieces.append(self._piece())
        return pieces

    def _next(self) -> str:
        if self._at == len(self._pattern):
            raise BadPattern(_SYNTAX)
        self._at += 1
        return self._pattern[self._at - 1]

    def _skips(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _piece(self) -> Piece:
        character = self._next()
        if character == "*":
            return self._star()
        if character == "?":
            return One(r"[^/]")
        if character == "[":
            return self._class()
        return self._next() if character == "\\" else character

    def _star(self) -> Many:
        if not self._deep or not self._skips("*"):
            return Many.NAME
        first = self._at == 2
        slash = self._skips("/")
        rest = self._pattern[self._at :]
        if first and not slash and not is_wild(rest) and "]" not in rest:
            return Many.REST  # `**name` is any end, though `**n*me` is a whole name
        return Many.FOLDERS if rest else Many.REST

    def _class(self) -> One:
        negated = "^" if self._skips("^") else ""
        members: list[str] = []
        while not (members and self._skips("]")):
            low = self._member()
            high = self._member() if self._skips("-") else low
            # the wrong way round is allowed, and holds nothing
            members.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        if any(members):
            return One(f"[{negated}{''.join(members)}]")
        return One("(?s:.)" if negated else "(?!)")

    def _member(self) -> str:
        character = self._next()
        if character in "-]":
            raise BadPattern(_SYNTAX)
        return self._next() if character == "\\" else character
