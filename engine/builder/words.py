"""Words of a Dockerfile: variables, quotes and escapes, as BuildKit's shell lexer reads them.

`expand` gives one word, `split` several: what a variable brings in is split at white space, what
stands in quotes is not. Reference: "Environment replacement" in the Dockerfile reference.
"""

import re
from collections.abc import Mapping

from engine.builder.errors import DockerfileError
from engine.builder.text import WHITE, is_white, quote
from engine.builder.wildcards import PatternError, Wildcard
from engine.values import dataclass, field

_MEANT = frozenset("$'\"")
_PLAIN = re.compile(r"""[^$'"\\`}/]+""")
_SPECIAL = frozenset("@*#?-$!0")
_MODIFIERS = frozenset("+-?#%")
_NO_CHARACTER = "\ufffd"  # what stands for the end in messages
_MOST_SHOWN = 1000  # characters in a message
_DEEPEST = 64  # substitutions inside each other
_LONGEST = 1 << 20  # characters of a result; ENV a=$a$a doubles each time


@dataclass(frozen=True)
class Expanded:
    """A text after expansion, the words in it, and the variables that were there and were not."""

    text: str
    words: tuple[str, ...]
    known: frozenset[str]
    unknown: frozenset[str]


@dataclass(frozen=True)
class Lexer:
    """How words are read.

    raw_quotes and raw_escapes keep these characters; unset variables stay as they are written with
    keep_unset; quotes mean nothing without quotes.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    keep_unset: bool = False
    quotes: bool = True

    def read(self, text: str, variables: Mapping[str, str]) -> Expanded:
        """Expand a text. Raises DockerfileError."""
        reading = _Reading(self, text, variables)
        try:
            words = reading.until("", self.raw_escapes)
        except _WordError as error:
            shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
            raise DockerfileError(f"failed to process {quote(shown)}: {error}") from error
        return Expanded(
            "".join(words.text),
            words.finish(),
            frozenset(reading.known),
            frozenset(reading.unknown),
        )


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """The text with its variables replaced and its quotes removed. Raises DockerfileError."""
    if _MEANT.isdisjoint(text) and escape not in text:
        return text
    return Lexer(escape).read(text, variables).text


def split(text: str, variables: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """The words of the text after expansion. Raises DockerfileError."""
    return Lexer(escape).read(text, variables).words


class _WordError(ValueError):
    """What is wrong, without the text that it's wrong in."""


@dataclass
class _Words:
    """A result that grows: the whole text, and its words."""

    text: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    word: list[str] = field(default_factory=list)
    length: int = 0

    def add(self, text: str, *, whole: bool = False) -> None:
        """Add a text; white space in it ends a word, unless it is whole."""
        self.length += len(text)
        if self.length > _LONGEST:
            raise _WordError(f"the result is longer than {_LONGEST} characters")
        self.text.append(text)
        self.add_word(text, whole)

    def add_word(self, text: str, whole: bool) -> None:
        """As add, but to the words alone."""
        if whole or WHITE.isdisjoint(text):
            self.word.append(text)
            return
        for character in text:
            if not is_white(character):
                self.word.append(character)
            elif any(self.word):
                self.words.append("".join(self.word))
                self.word.clear()

    def finish(self) -> tuple[str, ...]:
        """The words, the last one included."""
        last = "".join(self.word)
        return (*self.words, last) if last else tuple(self.words)


class _Reading:
    """One text being read: a position in it, and the variables met so far."""

    def __init__(self, lexer: Lexer, text: str, variables: Mapping[str, str]) -> None:
        self._lexer = lexer
        self._text = text
        self._at = 0
        self._variables = variables
        self._raw_escapes = lexer.raw_escapes
        self._depth = 0
        self.known: set[str] = set()
        self.unknown: set[str] = set()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1 if character else 0
        return character

    def until(self, stop: str, raw_escapes: bool) -> _Words:
        """Read up to a character (which is taken too), or to the end with ""."""
        before, self._raw_escapes = self._raw_escapes, raw_escapes
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _WordError("too many substitutions inside each other")
        try:
            return self._until(stop)
        finally:
            self._depth -= 1
            self._raw_escapes = before

    def _until(self, stop: str) -> _Words:
        words = _Words()
        while character := self._peek():
            if character == stop:
                self._next()
                return words
            if character == "$":
                words.add(self._dollar())
            elif character == "'" and self._lexer.quotes:
                words.add(self._single(), whole=True)
            elif character == '"' and self._lexer.quotes:
                words.add(self._double(), whole=True)
            elif character == self._lexer.escape:
                self._escape(words)
            else:
                words.add(self._plain())
        if stop:
            raise _WordError(f"unexpected end of statement while looking for matching {stop}")
        return words

    def _plain(self) -> str:
        """As much as surely means nothing, one character at least."""
        run = _PLAIN.match(self._text, self._at)
        start, self._at = self._at, run.end() if run else self._at + 1
        return self._text[start : self._at]

    def _escape(self, words: _Words) -> None:
        escape = self._next()
        if self._raw_escapes:
            words.add(escape, whole=True)
        if character := self._next():
            words.add(character, whole=True)

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            self._at = len(self._text)
            raise _WordError("unexpected end of statement while looking for matching single-quote")
        quoted = self._text[self._at : end + 1]
        self._at = end + 1
        return quoted if self._lexer.raw_quotes else quoted[1:-1]

    def _double(self) -> str:
        parts = [self._next()] if self._lexer.raw_quotes else [self._next()[:0]]
        while character := self._peek():
            if character == '"':
                parts.append(self._next() if self._lexer.raw_quotes else self._next()[:0])
                return "".join(parts)
            parts.append(self._dollar() if character == "$" else self._in_double())
        raise _WordError("unexpected end of statement while looking for matching double-quote")

    def _in_double(self) -> str:
        character = self._next()
        if character != self._lexer.escape:
            return character
        kept = character if self._raw_escapes else ""
        following = self._peek()
        if not following:
            return kept
        if following in ('"', "$", self._lexer.escape):
            return kept + self._next()
        return kept + character

    def _dollar(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self._lexer.keep_unset else value or ""
        self._next()
        following = self._peek()
        if not following:
            raise _WordError("syntax error: missing '}'")
        if following in "{}:":
            raise _WordError("syntax error: bad substitution")
        return self._substitution(self._name())

    def _substitution(self, name: str) -> str:
        """What stands behind the name in `${name...}`."""
        modifier = self._next()
        if modifier == "}":
            value = self._value(name)
            return f"${{{name}}}" if value is None and self._lexer.keep_unset else value or ""
        if modifier == "/":
            return self._replacement(name)
        colon = modifier == ":"
        if colon:
            modifier = self._next()
        shown = (":" if colon else "") + (modifier or _NO_CHARACTER)
        if not colon and modifier not in _MODIFIERS:
            raise _WordError(f"unsupported modifier ({shown}) in substitution")
        word = self._up_to("}", modifier in ("#", "%"), "missing '}'")
        value = self._value(name)
        if value is None and self._lexer.keep_unset:
            return f"${{{name}{shown}{word}}}"
        if modifier in ("#", "%") and not colon:
            return _trimmed(value or "", word, modifier)
        return _chosen(name, value, word, modifier, shown, empty_is_unset=colon)

    def _replacement(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._up_to("/", True, "missing '/' in ${}")
        replacement = self._up_to("}", True, "missing '}'")
        value = self._value(name)
        if value is None and self._lexer.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return _replaced(value or "", pattern, replacement, everywhere)

    def _up_to(self, stop: str, raw_escapes: bool, missing: str) -> str:
        try:
            return "".join(self.until(stop, raw_escapes).text)
        except _WordError as error:
            if not self._peek():
                raise _WordError(f"syntax error: {missing}") from error
            raise

    def _name(self) -> str:
        start = self._at
        if self._peek().isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        elif self._peek() and self._peek() in _SPECIAL:
            self._at += 1
        else:
            while (
                (character := self._peek()).isalpha() or character.isdecimal() or (character == "_")
            ):
                self._at += 1
        return self._text[start : self._at]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.unknown if value is None else self.known).add(name)
        return value


def _chosen(
    name: str, value: str | None, word: str, modifier: str, shown: str, *, empty_is_unset: bool
) -> str:
    """`-`, `+` and `?`: the value, the word, or an error."""
    absent = value is None or (empty_is_unset and not value)
    if modifier == "-":
        return word if absent else value or ""
    if modifier == "+":
        return "" if absent else word
    if modifier != "?":
        raise _WordError(f"unsupported modifier ({shown}) in substitution")
    if absent:
        state = "unset" if value is None else "empty"
        raise _WordError(f"{name}: {word or f'is not allowed to be {state}'}")
    return value or ""


def _wildcard(pattern: str) -> Wildcard:
    try:
        return Wildcard.parse(pattern)
    except PatternError as error:
        raise _WordError(f"invalid pattern ({pattern}) in substitution: {error}") from error


def _trimmed(value: str, pattern: str, modifier: str) -> str:
    """`#` and `##` take the pattern from the beginning, `%` and `%%` from the end."""
    longest = pattern.startswith(modifier)
    wildcard = _wildcard(pattern[1:] if longest else pattern)
    if modifier == "#":
        end = wildcard.prefix(value, longest=longest)
        return value[end or 0 :]
    length = wildcard.backwards().prefix(value[::-1], longest=longest)
    return value[: len(value) - (length or 0)]


def _replaced(value: str, pattern: str, replacement: str, everywhere: bool) -> str:
    parts, done, length = [], 0, 0
    for begin, end in _wildcard(pattern).matches(value):
        parts += [value[done:begin], replacement]
        done = end
        length += len(replacement)
        if length > _LONGEST:
            raise _WordError(f"the result is longer than {_LONGEST} characters")
        if not everywhere:
            break
    return "".join(parts) + value[done:]
