"""HTTP routes of the classic builder: parse the request, ask the backend, answer."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from engine.api.http import Answer, Request, Response, Route, json_response, no_content
from engine.api.operations import Lines, answer
from engine.api.query import Query
from engine.errors import BadRequest
from engine.filters import Filters

Work = Coroutine[Any, Any, None]


class Backend(Protocol):
    """What these routes need; `builder.Builder` satisfies it."""

    def progress(self) -> Lines: ...
    def build(self, asked: Mapping[str, Any], body: AsyncIterator[bytes], lines: Any) -> Work: ...
    async def prune(
        self, filters: Filters, *, everything: bool, keep: int
    ) -> tuple[list[str], int]: ...


def routes(backend: Backend) -> Sequence[Route]:
    """The routes below /build."""

    async def build(request: Request) -> Answer:
        asked = _asked(request)
        lines = backend.progress()
        return await answer(lines, backend.build(asked, request.chunks(), lines), request.closed)

    async def prune(request: Request) -> Response:
        query = request.query
        names = ("reserved-space", "keep-storage", "max-used-space")
        keep = next((size for name in names if (size := query.integer(name, 0))), 0)
        everything = query.flag("all")
        filters = Filters.parse(query.get("filters"))
        told, reclaimed = await backend.prune(filters, everything=everything, keep=keep)
        return json_response({"CachesDeleted": told or None, "SpaceReclaimed": reclaimed})

    async def cancel(request: Request) -> Response:
        if not request.query.get("id"):
            raise BadRequest("build ID not provided")
        return no_content()  # a classic build ends with its connection

    return (
        Route("POST", "/build", build),
        Route("POST", "/build/prune", prune),
        Route("POST", "/build/cancel", cancel),
    )


def _asked(request: Request) -> Mapping[str, Any]:
    """The fields of a builder.Request. Raises BadRequest."""
    query = request.query
    if query.get("version", "1") == "2":
        raise BadRequest(
            "this engine has the classic builder: unset DOCKER_BUILDKIT or set it to 0"
        )
    if query.flag("squash"):
        raise BadRequest("squash is only supported with experimental mode")
    if _strings(query, "securityopt", list):
        raise BadRequest(
            "The daemon on this platform does not support setting security options on build"
        )
    if query.get("remote") == "client-session":
        raise BadRequest("contexts of a client's session need BuildKit")
    return {
        "dockerfile": query.get("dockerfile"),
        "remote": query.get("remote"),
        "tags": tuple(tag for tag in query.all("t") if tag),
        "target": query.get("target"),
        "args": _strings(query, "buildargs", dict),
        "labels": _strings(query, "labels", dict),
        "platform": query.get("platform"),
        "cache_from": tuple(_strings(query, "cachefrom", list)),
        "no_cache": query.flag("nocache"),
        "pull": query.flag("pull"),
        "remove": query.flag("rm", True) or query.flag("forcerm"),
        "quiet": query.flag("q"),
        "network": query.get("networkmode"),
        "extra_hosts": _hosts(query),
        "limits": {name: _limit(query, name) for name in _LIMITS},
        "ulimits": _ulimits(query),
        "auth": _registries(request),
    }


# names of the query, each a whole number or a set of CPUs
_LIMITS = (
    "memory",
    "memswap",
    "cpushares",
    "cpuperiod",
    "cpuquota",
    "cpusetcpus",
    "cpusetmems",
    "shmsize",
    "cgroupparent",
)
_TEXTS = frozenset({"cpusetcpus", "cpusetmems", "cgroupparent"})


def _limit(query: Query, name: str) -> int | str:
    return query.get(name) if name in _TEXTS else query.integer(name, 0)


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"error reading {name}: {error}") from error


def _strings(query: Query, name: str, kind: type[Any]) -> Any:
    """A JSON object or list of texts in the query; empty when absent."""
    text = query.get(name)
    if not text:
        return kind()
    value = _json(text, name)
    value = kind() if value is None else value
    words = value.values() if isinstance(value, dict) else value
    fits = isinstance(value, kind) and all(each is None or isinstance(each, str) for each in words)
    if not fits:
        raise BadRequest(f"error reading {name}: wanted texts in JSON")
    return value


def _hosts(query: Query) -> tuple[str, ...]:
    """`name:address` each: docker-py sends them in one text, with commas."""
    return tuple(host for text in query.all("extrahosts") for host in text.split(",") if host)


def _ulimits(query: Query) -> Sequence[tuple[str, int, int]]:
    """(name, soft, hard) of each."""
    text = query.get("ulimits")
    found = []
    given = (_json(text, "ulimits") if text else None) or []
    if not isinstance(given, list):
        raise BadRequest("error reading ulimits: wanted a list in JSON")
    for one in given:
        try:
            found.append((str(one["Name"]), int(one["Soft"]), int(one["Hard"])))
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"error reading ulimits: {error}") from error
    return found


def _registries(request: Request) -> Mapping[str, Mapping[str, Any]]:
    """The X-Registry-Config header: credentials by registry; a damaged one is none."""
    header = request.headers.get("x-registry-config", "")
    try:
        padded = header.translate(str.maketrans("+/", "-_")) + "=" * (-len(header) % 4)
        decoded = json.loads(base64.urlsafe_b64decode(padded)) if header else {}
    except (binascii.Error, ValueError, RecursionError):
        return {}
    if not isinstance(decoded, dict):
        return {}
    return {name: auth for name, auth in decoded.items() if isinstance(auth, dict)}
