"""What a build leaves out: .dockerignore, and `--exclude` of COPY and ADD.

Patterns are tried in order, the last one that fits decides; `!` brings back. A pattern that fits a
folder fits all that is in it. Reference: ".dockerignore files" in Docker's build documentation.
"""

import posixpath
from collections.abc import Iterable

from engine.builder.errors import DockerfileError
from engine.builder.globs import BadPattern, Glob, compiled, match
from engine.builder.text import quote, trim
from engine.values import dataclass

__all__ = ["Matcher", "match", "read"]

_MOST_FOLDERS = 4096  # whose results are remembered

_Tried = tuple[bool, tuple[bool, ...]]


def read(text: str) -> tuple[str, ...]:
    """The patterns of a .dockerignore, relative to the context."""
    patterns = []
    for line in text.removeprefix("\ufeff").split("\n"):
        line = line.removesuffix("\r")
        if line.startswith("#"):
            continue
        if pattern := trim(line):
            patterns.append(_relative(pattern))
    return tuple(patterns)


def _relative(pattern: str) -> str:
    mark = "!" if pattern.startswith("!") else ""
    pattern = trim(pattern[len(mark) :])
    if pattern:
        pattern = _clean(pattern)
        if len(pattern) > 1 and pattern.startswith("/"):
            pattern = pattern[1:]
    return mark + pattern


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


@dataclass(frozen=True)
class _Rule:
    """One pattern. back: what fits is not left out after all."""

    glob: Glob
    parts: tuple[str, ...]
    back: bool


class Matcher:
    """Patterns to try paths with. Raises DockerfileError for one that is none."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules = tuple(
            rule for pattern in patterns if (rule := _rule(trim(pattern))) is not None
        )
        self._folders: dict[str, tuple[bool, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    @property
    def brings_back(self) -> bool:
        """Whether a pattern with `!` is among them."""
        return any(rule.back for rule in self._rules)

    def ignored(self, path: str) -> bool:
        """Whether a path (relative, with slashes) is left out. The root never is."""
        path = _clean(path).strip("/")
        return path not in ("", ".") and self._try(path)[0]

    def could_hold(self, folder: str) -> bool:
        """Whether something in a folder may stay, though the folder itself is left out."""
        if not self.ignored(folder):
            return True
        names = _clean(folder).strip("/").split("/")
        return any(rule.back and _may_reach(rule.parts, names) for rule in self._rules)

    def _try(self, path: str) -> _Tried:
        """Whether a path is left out, and which rules fit it or a folder that it's in.

        A rule that would change nothing at its turn counts as one that doesn't fit, below too:
        `!dir` brings back a file of `dir` only if it had brought back `dir`.
        """
        folder = path.rpartition("/")[0]
        above = self._folder(folder) if folder else (False,) * len(self._rules)
        ignored = False
        fits = []
        for rule, known in zip(self._rules, above, strict=True):
            fit = known or (rule.back == ignored and rule.glob.matches(path))
            if fit:
                ignored = not rule.back
            fits.append(fit)
        return ignored, tuple(fits)

    def _folder(self, path: str) -> tuple[bool, ...]:
        """The rules that fit a folder, remembered."""
        found = self._folders.get(path)
        if found is None:
            for end in (at for at, character in enumerate(path) if character == "/"):
                if path[:end] not in self._folders:
                    self._remember(path[:end], self._try(path[:end])[1])
            found = self._try(path)[1]
            self._remember(path, found)
        return found

    def _remember(self, path: str, fits: tuple[bool, ...]) -> None:
        if len(self._folders) >= _MOST_FOLDERS:
            self._folders.clear()
        self._folders[path] = fits


def _rule(pattern: str) -> _Rule | None:
    if not pattern:
        return None
    pattern = _clean(pattern)
    back = pattern.startswith("!")
    if pattern == "!":
        raise DockerfileError('illegal exclusion pattern: "!"')
    pattern = pattern[1:] if back else pattern
    try:
        return _Rule(compiled(pattern, True), tuple(pattern.split("/")), back)
    except BadPattern as error:
        raise DockerfileError(f"invalid pattern {quote(pattern)}: {error}") from error


def _may_reach(parts: tuple[str, ...], names: list[str]) -> bool:
    """Whether a pattern may fit something below a folder."""
    for part, name in zip(parts, names, strict=False):
        if "**" in part:
            return True
        if not match(part, name):
            return False
    return True
