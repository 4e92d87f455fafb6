"""The patterns of `${name#pattern}`: `*` any text, `?` any character, `\\` takes both literally."""

import re
from collections.abc import Iterator

_Segment = tuple[str, ...]  # one character each; "" stands for any
_LINE_END = "\n"  # no wildcard goes beyond it


class PatternError(ValueError):
    """The pattern has an escape that means nothing."""


class Wildcard:
    """A pattern as the fixed pieces between its stars.

    The earliest place of each piece is always as good as a later one, so no search goes back.
    """

    def __init__(self, segments: list[_Segment]) -> None:
        self._segments = segments
        self._regexes = [
            re.compile("".join("." if not c else re.escape(c) for c in segment))
            for segment in segments
        ]

    @classmethod
    def parse(cls, pattern: str) -> "Wildcard":
        """Read a pattern. Raises PatternError."""
        segments: list[list[str]] = [[]]
        characters = iter(pattern)
        for character in characters:
            if character == "*":
                segments.append([])
            elif character == "?":
                segments[-1].append("")
            elif character == "\\":
                escaped = next(characters, "")
                if escaped not in ("*", "?", "\\", "}", "/") or not escaped:
                    raise PatternError(f"invalid escape '\\{escaped or chr(0xFFFD)}'")
                segments[-1].append(escaped)
            else:
                segments[-1].append(character)
        return cls([tuple(segment) for segment in segments])

    def backwards(self) -> "Wildcard":
        """The pattern for texts that are written backwards."""
        return Wildcard([segment[::-1] for segment in self._segments[::-1]])

    def prefix(self, text: str, *, longest: bool) -> int | None:
        """Where the pattern ends if it stands at the text's beginning."""
        return self._match(text, 0, longest)[0]

    def matches(self, text: str) -> Iterator[tuple[int, int]]:
        """Every place of the pattern from left to right, each as long as it can be."""
        begin = before = 0
        while begin <= len(text):
            end, hopeless_until = self._match(text, begin, True)
            if end is None:
                begin = max(begin + 1, hopeless_until)
            elif end == begin == before and begin:
                begin += 1  # an empty match right behind another one is none
            else:
                yield begin, end
                before = end
                begin = end if end > begin else end + 1

    def _match(self, text: str, begin: int, longest: bool) -> tuple[int | None, int]:
        """The end of a match that begins here; or None and where it's worth to look next.

        What fails here fails from everywhere on the same line: less of it is left there.
        """
        found = self._regexes[0].match(text, begin)
        if found is None:
            return None, begin + 1
        end = found.end()
        if len(self._segments) == 1:
            return end, end
        again = begin + 1 if _LINE_END in self._segments[0] else _line_end(text, end)
        for regex, segment in zip(self._regexes[1:-1], self._segments[1:-1], strict=True):
            found = regex.search(text, end, _line_end(text, end) + len(segment))
            if found is None:
                return None, again
            end = found.end()
        return (self._last(text, end) if longest else self._next(text, end)), again

    def _next(self, text: str, begin: int) -> int | None:
        limit = _line_end(text, begin) + len(self._segments[-1])
        found = self._regexes[-1].search(text, begin, limit)
        return found.end() if found else None

    def _last(self, text: str, begin: int) -> int | None:
        length = len(self._segments[-1])
        for start in range(min(_line_end(text, begin), len(text) - length), begin - 1, -1):
            if self._regexes[-1].match(text, start):
                return start + length
        return None


def _line_end(text: str, begin: int) -> int:
    end = text.find(_LINE_END, begin)
    return len(text) if end < 0 else end
