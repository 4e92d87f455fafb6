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
        if path in ("", "."):
            return False
        ignored = False
        for rule, fits in zip(self._rules, self._fits(path), strict=True):
            if fits:
                ignored = not rule.back
        return ignored

    def could_hold(self, folder: str) -> bool:
        """Whether something in a folder may stay, though the folder itself is left out."""
        if not self.ignored(folder):
            return True
        names = _clean(folder).strip("/").split("/")
        return any(rule.back and _may_reach(rule.parts, names) for rule in self._rules)

    def _fits(self, path: str) -> tuple[bool, ...]:
        """For each rule whether it fits the path or a folder that it's in."""
        folder = path.rpartition("/")[0]
        above = self._remembered(folder) if folder else (False,) * len(self._rules)
        return tuple(
            fits or rule.glob.matches(path) for fits, rule in zip(above, self._rules, strict=True)
        )

    def _remembered(self, folder: str) -> tuple[bool, ...]:
        found = self._folders.get(folder)
        if found is None:
            found = (False,) * len(self._rules)
            names = folder.split("/")
            for depth in range(1, len(names) + 1):
                path = "/".join(names[:depth])
                known = self._folders.get(path)
                found = known or tuple(
                    fits or rule.glob.matches(path)
                    for fits, rule in zip(found, self._rules, strict=True)
                )
            if len(self._folders) >= _MOST_FOLDERS:
                self._folders.clear()
            self._folders[folder] = found
        return found


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
