"""A Dockerfile's text as nodes: one a line after continuations, with flags, words and heredocs.

What the words mean is told by `engine.builder.reading`. Reference: the Dockerfile reference,
"Format", "Parser directives" and "Here-Documents".
"""

import re

from engine.builder.errors import PARSING, DockerfileError
from engine.builder.instructions import Heredoc
from engine.builder.lines import Node, node_of
from engine.builder.text import trim, trim_left
from engine.builder.words import Lexer
from engine.values import dataclass, field, replace

_LONGEST_LINE = 65535  # bytes
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S.*)", re.ASCII)
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_HEREDOC = re.compile(r"([0-9]*)<<(-?)\s*([^<]*)", re.ASCII)
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_TAKE_HEREDOCS = frozenset({"add", "copy", "run"})
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Directive:
    """A parser directive (`# escape=...`): value and line."""

    value: str
    line: int


@dataclass(frozen=True)
class Oddity:
    """Something that is read as it was probably meant, and shouldn't be there."""

    message: str
    line: int


@dataclass(frozen=True)
class Dockerfile:
    """The nodes of a Dockerfile in order, what its directives say, and its lines as written."""

    nodes: tuple[Node, ...]
    escape: str = "\\"
    directives: dict[str, Directive] = field(default_factory=dict)
    oddities: tuple[Oddity, ...] = ()
    lines: tuple[str, ...] = ()


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile. Raises DockerfileError."""
    lines = _lines(text.removeprefix(_BYTE_ORDER_MARK))
    directives = _directives(lines)
    escape = _escape(directives, lines)
    reading = _Reading(lines, escape, {directive.line for directive in directives.values()})
    nodes = reading.nodes()
    if not nodes:
        raise DockerfileError("file with no instructions", len(lines), prefix=PARSING)
    return Dockerfile(
        nodes,
        escape,
        directives,
        tuple(reading.oddities),
        tuple(line.rstrip("\r\n") for line in lines),
    )


def heredoc_of(word: str) -> Heredoc | None:
    """What `<<NAME` announces, without its text; None for other words. Raises DockerfileError."""
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[3]:
        return None
    bare = Lexer(keep_unset=True).read(match[3], {}).words
    if len(bare) != 1:
        return None
    quoted = Lexer(keep_unset=True, raw_quotes=True).read(match[3], {}).words
    expand = _quotes(bare[0]) == _quotes("".join(quoted))
    return Heredoc(bare[0], "", expand, match[2] == "-", int(match[1][:9] or 0))


def chomped(content: str) -> str:
    """The text without the tabs that its lines begin with (`<<-`)."""
    return _LEADING_TABS.sub("", content)


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')


def _lines(text: str) -> list[str]:
    """The lines with their ends; only a line feed ends one."""
    lines = text.split("\n")
    last = lines.pop()
    lines = [line + "\n" for line in lines]
    if last:
        lines.append(last)
    for number, line in enumerate(lines, 1):
        if len(line) * 4 > _LONGEST_LINE and len(line.encode(errors="replace")) > _LONGEST_LINE:
            raise DockerfileError(
                f"dockerfile line greater than max allowed size of {_LONGEST_LINE}",
                number,
                prefix=PARSING,
            )
    return lines


def _directives(lines: list[str]) -> dict[str, Directive]:
    """The comments at the very top that are directives; a `#!` line may stand above them."""
    found: dict[str, Directive] = {}
    shebang = bool(lines) and lines[0].startswith("#!")
    for number, line in enumerate(lines, 1):
        if number == 1 and shebang:
            continue
        match = _DIRECTIVE.fullmatch(trim(line))
        name = match[1].lower() if match else ""
        if match is None or name not in _DIRECTIVES:
            break
        if name in found:
            if shebang:
                break
            raise DockerfileError(
                f"only one {name} parser directive can be used", number, prefix=PARSING
            )
        found[name] = Directive(match[2], number)
    return found


def _escape(directives: dict[str, Directive], lines: list[str]) -> str:
    directive = directives.get("escape")
    if directive is None or lines[0].startswith("#!"):
        return "\\"
    if directive.value not in ("\\", "`"):
        raise DockerfileError(
            f"invalid escape token '{directive.value}' does not match ` or \\",
            directive.line,
            prefix=PARSING,
        )
    return directive.value


def _is_comment(line: str) -> bool:
    return trim_left(line).startswith("#")


class _Reading:
    """The lines being read, from the first to the last."""

    def __init__(self, lines: list[str], escape: str, directive_lines: set[int]) -> None:
        self._lines = lines
        self._directive_lines = directive_lines
        self._at = 0  # lines that are read
        self._escape = escape
        token = re.escape(escape)
        self._continued = re.compile(rf"(?<!{token}){token}[ \t]*\Z")
        self._comments: list[str] = []
        self.oddities: list[Oddity] = []

    def nodes(self) -> tuple[Node, ...]:
        """Read everything."""
        nodes = []
        while self._at < len(self._lines):
            line = self._next()
            if _is_comment(line):
                self._comment(line)
                continue
            line, whole = self._cut(trim_left(line.rstrip("\r\n")))
            if whole and not line:
                self._comments = []
                continue
            nodes.append(self._node(line, whole))
            self._comments = []
        return tuple(nodes)

    def _next(self) -> str:
        self._at += 1
        return self._lines[self._at - 1]

    def _comment(self, line: str) -> None:
        comment = trim(trim_left(line)[1:])
        if self._at in self._directive_lines:
            return
        if comment:
            self._comments.append(comment)
        else:
            self._comments = []

    def _cut(self, line: str) -> tuple[str, bool]:
        """The line without the mark that it goes on, and whether it ends here."""
        match = self._continued.search(line)
        return (line, True) if match is None else (line[: match.start()], False)

    def _node(self, line: str, whole: bool) -> Node:
        first = self._at
        try:
            text = self._continue(line, whole)
            node = node_of(text, self._escape)
            heredocs = self._heredocs(node) if "<<" in text else ()
        except DockerfileError as error:
            raise error.at(first, prefix=PARSING) from error
        return replace(
            node,
            heredocs=heredocs,
            first_line=first,
            last_line=self._at,
            comments=tuple(self._comments),
        )

    def _continue(self, line: str, whole: bool) -> str:
        """The line with those that continue it; comments and empty lines among them are left."""
        parts = [line]
        empty = False
        while not whole and self._at < len(self._lines):
            following = self._next()
            if _is_comment(following):
                continue
            following = following.rstrip("\r\n")
            if not trim_left(following):
                empty = True
                continue
            following, whole = self._cut(following)
            parts.append(following)
        text = "".join(parts)
        if empty:
            self.oddities.append(Oddity(f"Empty continuation line found in: {text}", self._at))
        return text

    def _heredocs(self, node: Node) -> tuple[Heredoc, ...]:
        taking = node.of or node
        if taking.keyword.lower() not in _TAKE_HEREDOCS or taking.json:
            return ()
        lexer = Lexer(raw_quotes=True, raw_escapes=True, keep_unset=True)
        try:
            words = lexer.read(node.text, {}).words
        except DockerfileError:
            return ()  # no word of the shell's: whatever it is, it announces nothing
        announced = [heredoc for word in words if (heredoc := heredoc_of(word))]
        return tuple(self._heredoc(heredoc) for heredoc in announced)

    def _heredoc(self, heredoc: Heredoc) -> Heredoc:
        parts: list[str] = []
        while self._at < len(self._lines):
            line = self._next()
            end = line.rstrip("\r\n")
            if (end.lstrip("\t") if heredoc.chomp else end) == heredoc.name:
                return replace(heredoc, content="".join(parts))
            parts.append(line)
        raise DockerfileError("unterminated heredoc")
