"""From method and path to a handler."""

import re
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import unquote

from engine.api.request import Request
from engine.api.response import Response, StreamResponse
from engine.errors import BadRequest, NotFound
from engine.values import dataclass

Answer = Response | StreamResponse | None
Handler = Callable[[Request], Awaitable[Answer]]

API_VERSION = (1, 51)
MIN_API_VERSION = (1, 24)

_VERSION = re.compile(r"/v(\d{1,6})\.(\d{1,6})(/.*)")
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the API; `{name}` is one part of the path, `{name:path}` may hold slashes."""

    method: str
    pattern: str
    handler: Handler


class Router:
    """All routes of an engine. Patterns without parameters go before the others."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._fixed: dict[str, dict[str, Handler]] = {}
        self._open: list[tuple[str, str, re.Pattern[str], Handler]] = []
        self.add(routes)

    def add(self, routes: Iterable[Route]) -> None:
        """Add routes; of two that match, the earlier one answers."""
        for route in routes:
            if "{" in route.pattern:
                literal = route.pattern.partition("{")[0]
                self._open.append((route.method, literal, _compile(route.pattern), route.handler))
            else:
                self._fixed.setdefault(route.pattern, {}).setdefault(route.method, route.handler)

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and its parameters.

        Raises NotFound, for a known path with another method, too: dockerd knows no 405.
        """
        fixed = self._fixed.get(path)
        if fixed is not None and method in fixed:
            return fixed[method], {}
        for route_method, literal, pattern, handler in self._open:
            if route_method != method or not path.startswith(literal):
                continue
            if match := pattern.fullmatch(path):
                return handler, match.groupdict()
        raise NotFound("page not found")


def _compile(pattern: str) -> re.Pattern[str]:
    position = 0
    pieces: list[str] = []
    for match in _PARAMETER.finditer(pattern):
        pieces.append(re.escape(pattern[position : match.start()]))
        pieces.append(f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})")
        position = match.end()
    pieces.append(re.escape(pattern[position:]))
    return re.compile("".join(pieces), re.DOTALL)


def split_version(path: str) -> tuple[tuple[int, int], str]:
    """The API version in a path (the newest when there is none) and the decoded rest.

    Raises BadRequest for a version that this engine doesn't speak, in dockerd's words.
    """
    version = API_VERSION
    if match := _VERSION.fullmatch(path):
        version = int(match[1]), int(match[2])
        path = match[3]
        _check(version)
    return version, unquote(path) if "%" in path else path


def _check(version: tuple[int, int]) -> None:
    if version > API_VERSION:
        raise BadRequest(
            f"client version {_dotted(version)} is too new. "
            f"Maximum supported API version is {_dotted(API_VERSION)}"
        )
    if version < MIN_API_VERSION:
        raise BadRequest(
            f"client version {_dotted(version)} is too old. "
            f"Minimum supported API version is {_dotted(MIN_API_VERSION)}, "
            "please upgrade your client to a newer version"
        )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
