"""Small rules of text that Docker's tools share with the language they are written in."""

import re
from collections.abc import Iterable

WHITE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
_WHITE = "".join(sorted(WHITE))
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_ESCAPES |= {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
_NEAR = 3  # edits that a spelling mistake has at most, plus one
_LONGEST_NAME = 64


def is_white(character: str) -> bool:
    """Whether a character is white space (Unicode's White_Space)."""
    return character in WHITE


def trim(text: str) -> str:
    """The text without white space around it."""
    return text.strip(_WHITE)


def trim_left(text: str) -> str:
    """The text without white space before it."""
    return text.lstrip(_WHITE)


def quote(text: str) -> str:
    """The text in double quotes, unprintable characters escaped."""
    return f'"{"".join(_quoted(character) for character in text)}"'


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def suggest(word: str, options: Iterable[str], *, any_case: bool = False) -> str:
    """The option that the word was probably meant to be, "" if none is near or it is one."""
    if len(word) > _LONGEST_NAME:
        return ""
    best, nearest = "", _NEAR
    for option in sorted(options):
        left, right = (word.lower(), option.lower()) if any_case else (word, option)
        if left == right:
            return ""
        if (distance := _distance(left, right)) < nearest:
            best, nearest = option, distance
    if any_case and best:
        return best.lower() if word == word.lower() else best.upper()
    return best


def did_you_mean(word: str, options: Iterable[str], *, any_case: bool = False) -> str:
    """` (did you mean X?)`, or nothing."""
    best = suggest(word, options, any_case=any_case)
    return f" (did you mean {best}?)" if best else ""


def _distance(left: str, right: str) -> int:
    """Levenshtein's: how many characters have to be put in, taken out or exchanged."""
    if abs(len(left) - len(right)) >= _NEAR:
        return _NEAR
    above = list(range(len(right) + 1))
    for row, character in enumerate(left, 1):
        line = [row]
        for column, other in enumerate(right, 1):
            line.append(
                min(above[column] + 1, line[-1] + 1, above[column - 1] + (character != other))
            )
        above = line
    return above[-1]


BLANKS = re.compile(r"[\t\v\f\r ]+")  # what separates words on a line; a line break does not
