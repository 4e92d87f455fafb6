"""One logical line of a Dockerfile as a node: keyword, flags, words.

Each instruction has its own way to be cut into words; their meaning comes later.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from engine.builder.errors import DockerfileError
from engine.builder.instructions import Heredoc
from engine.builder.text import BLANKS, is_white, quote, trim, trim_left
from engine.values import dataclass

_SURROGATES = re.compile("[\ud800-\udfff]")
_DEEPEST = 100  # ONBUILD of ONBUILD of ...


@dataclass(frozen=True)
class Node:
    """A line. text is the whole line, words what follows keyword and flags.

    words of ENV and LABEL: name, value, "=" or "" (the old form), again and again. of is what an
    ONBUILD holds. comments stand right above.
    """

    keyword: str
    text: str
    flags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    json: bool = False
    of: "Node | None" = None
    heredocs: tuple[Heredoc, ...] = ()
    first_line: int = 0
    last_line: int = 0
    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Cut:
    """What a line's arguments are cut into."""

    words: tuple[str, ...] = ()
    json: bool = False
    of: Node | None = None


def node_of(line: str, escape: str) -> Node:
    """Cut a line. Raises DockerfileError without a place."""
    return _node(line, escape, 0)


def _node(line: str, escape: str, depth: int) -> Node:
    keyword, *rest = BLANKS.split(trim(line), maxsplit=1)
    flags, arguments = _flags(rest[0]) if rest else ((), "")
    arguments = trim(arguments)
    if keyword.lower() == "onbuild":
        if depth >= _DEEPEST:
            raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        of = _node(arguments, escape, depth + 1) if arguments else None
        cut = _Cut((of.keyword, *of.words) if of else (), of.json if of else False, of)
    else:
        cut = _CUTS.get(keyword.lower(), _nothing)(arguments, escape)
    return Node(keyword, line, flags, cut.words, cut.json, cut.of)


def _flags(text: str) -> tuple[tuple[str, ...], str]:
    """The leading words that begin with `--`, quotes removed; and what follows them."""
    flags: list[str] = []
    at = 0
    while True:
        while at < len(text) and is_white(text[at]):
            at += 1
        if not text.startswith("--", at):
            return tuple(flags), text[at:]
        word, at = _flag(text, at)
        if word == "--":
            return tuple(flags), text[at:]
        flags.append(word)


def _flag(text: str, at: int) -> tuple[str, int]:
    """One word from `at` on; a backslash takes the next character as it is."""
    word: list[str] = []
    quoted = ""
    while at < len(text):
        character = text[at]
        if not quoted and is_white(character):
            break
        at += 1
        if character == quoted:
            quoted = ""
        elif not quoted and character in "'\"":
            quoted = character
        elif character == "\\":
            word += text[at : at + 1]
            at += 1
        else:
            word.append(character)
    return "".join(word), at


def split_words(text: str, escape: str) -> list[str]:
    """Words between white space; quotes keep it together and stay in the word."""
    words: list[str] = []
    word: list[str] = []
    quoted, at = "", 0
    while at < len(text):
        character = text[at]
        at += 1
        if not quoted and is_white(character):
            if word:
                words.append("".join(word))
                word.clear()
            continue
        if character == quoted:
            quoted = ""
        elif not quoted and character in "'\"":
            quoted = character
        elif character == escape and quoted != "'":
            if at == len(text):
                break
            word.append(character)
            character = text[at]
            at += 1
        word.append(character)
    return [*words, "".join(word)] if word else words


def json_words(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None if the text is none. Raises DockerfileError."""
    text = trim_left(text)
    if not text.startswith("["):
        return None
    try:
        words: Any = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(word, str) for word in words):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return tuple(_SURROGATES.sub("\ufffd", word) for word in words)


def _no_json(constant: str) -> None:
    raise ValueError(constant)


def _nothing(text: str, escape: str) -> _Cut:
    return _Cut()


def _whole(text: str, escape: str) -> _Cut:
    return _Cut((text,) if text else ())


def _blanks(text: str, escape: str) -> _Cut:
    return _Cut(tuple(BLANKS.split(text)) if text else ())


def _spelt(text: str, escape: str) -> _Cut:
    return _Cut(tuple(split_words(text, escape)))


def _json_or_whole(text: str, escape: str) -> _Cut:
    words = json_words(text)
    return _whole(text, escape) if words is None else _Cut(words, json=True)


def _json_or_blanks(text: str, escape: str) -> _Cut:
    words = json_words(text)
    return _blanks(text, escape) if words is None else _Cut(words, json=True)


def _health(text: str, escape: str) -> _Cut:
    kind, _, command = _partition(text)
    if not kind:
        return _Cut()
    cut = _json_or_whole(command, escape)
    return _Cut((kind, *cut.words), cut.json)


def _partition(text: str) -> tuple[str, str, str]:
    end = next((at for at, character in enumerate(text) if is_white(character)), len(text))
    return text[:end], text[end : end + 1], trim_left(text[end:])


def _pairs(keyword: str) -> Callable[[str, str], _Cut]:
    def cut(text: str, escape: str) -> _Cut:
        words = split_words(text, escape)
        if not words:
            return _Cut()
        if "=" not in words[0]:
            name, *value = BLANKS.split(text, maxsplit=1)
            if not value:
                raise DockerfileError(f"{keyword} must have two arguments")
            return _Cut((name, value[0], ""))
        pairs: list[str] = []
        for word in words:
            name, equals, value_text = word.partition("=")
            if not equals:
                raise DockerfileError(
                    f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value"
                )
            pairs += (name, value_text, "=")
        return _Cut(tuple(pairs))

    return cut


_CUTS: dict[str, Callable[[str, str], _Cut]] = {
    "add": _json_or_blanks,
    "arg": _spelt,
    "cmd": _json_or_whole,
    "copy": _json_or_blanks,
    "entrypoint": _json_or_whole,
    "env": _pairs("ENV"),
    "expose": _blanks,
    "from": _blanks,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _whole,
    "run": _json_or_whole,
    "shell": _json_or_whole,
    "stopsignal": _whole,
    "user": _whole,
    "volume": _json_or_blanks,
    "workdir": _whole,
}
KEYWORDS = frozenset(keyword.upper() for keyword in (*_CUTS, "onbuild"))
