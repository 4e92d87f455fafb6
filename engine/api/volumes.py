"""HTTP routes for volumes: parse the request, ask the backend, answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.api.absent import NO_MANAGER
from engine.api.fields import mapping, string
from engine.api.http import Request, Response, Route, created, json_response, no_content
from engine.errors import BadRequest, Unavailable
from engine.filters import Filters
from engine.times import SECOND, format_time

_BODY = "CreateOptions."


class Volume(Protocol):
    """What is shown of a volume."""

    @property
    def name(self) -> str: ...
    @property
    def driver(self) -> str: ...
    @property
    def mountpoint(self) -> Path: ...
    @property
    def created_ns(self) -> int: ...
    @property
    def labels(self) -> Mapping[str, str] | None: ...
    @property
    def options(self) -> Mapping[str, str] | None: ...


class Pruned(Protocol):
    """What a prune removed."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def reclaimed(self) -> int: ...


class Backend(Protocol):
    """What these routes need from the engine; `volumes.Store` satisfies it."""

    def get(self, name: str) -> Volume: ...
    def list(self, filters: Filters | None = None) -> Sequence[Volume]: ...
    async def create(
        self,
        name: str,
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume: ...
    async def remove(self, name: str, *, force: bool = False) -> None: ...
    async def prune(self, filters: Filters, *, named: bool = False) -> Pruned: ...


def to_wire(volume: Volume) -> dict[str, Any]:
    """A volume as Docker shows it."""
    return {
        "CreatedAt": format_time(volume.created_ns // SECOND * SECOND),
        "Driver": volume.driver,
        "Labels": None if volume.labels is None else dict(sorted(volume.labels.items())),
        "Mountpoint": str(volume.mountpoint),
        "Name": volume.name,
        "Options": None if volume.options is None else dict(sorted(volume.options.items())),
        "Scope": "local",
    }


def _filters(request: Request) -> Filters:
    try:
        return Filters.parse(request.query.get("filters"))
    except BadRequest as error:
        raise BadRequest(f"error reading volume filters: {error}") from error


def routes(backend: Backend) -> Sequence[Route]:
    """The routes below /volumes."""

    async def create(request: Request) -> Response:
        body = await request.json()
        if body.get("ClusterVolumeSpec") is not None and request.version >= (1, 42):
            raise Unavailable(NO_MANAGER)
        volume = await backend.create(
            string(body, "Name", owner=_BODY),
            driver=string(body, "Driver", owner=_BODY) or "local",
            options=mapping(body, "DriverOpts", owner=_BODY),
            labels=mapping(body, "Labels", owner=_BODY),
        )
        return created(to_wire(volume))

    async def show(request: Request) -> Response:
        return json_response(to_wire(backend.get(request.params["name"])))

    async def list_all(request: Request) -> Response:
        volumes = backend.list(_filters(request))
        return json_response({"Volumes": [to_wire(one) for one in volumes], "Warnings": None})

    async def delete(request: Request) -> Response:
        # force hides a missing volume but never one in use; `docker volume rm -f` relies on it
        await backend.remove(request.params["name"], force=request.query.flag("force"))
        return no_content()

    async def prune(request: Request) -> Response:
        filters = Filters.parse(request.query.get("filters"))
        # Before API 1.42 a prune took the named ones, too.
        pruned = await backend.prune(filters, named=request.version < (1, 42))
        return json_response(
            {"VolumesDeleted": list(pruned.names), "SpaceReclaimed": pruned.reclaimed}
        )

    return (
        Route("GET", "/volumes", list_all),
        Route("POST", "/volumes/create", create),
        Route("POST", "/volumes/prune", prune),
        Route("GET", "/volumes/{name:path}", show),
        Route("DELETE", "/volumes/{name:path}", delete),
    )
