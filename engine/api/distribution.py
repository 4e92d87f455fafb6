"""HTTP route for asking a registry about an image without pulling it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.api.http import Request, Response, Route, json_response
from engine.api.images import credentials


class Platform(Protocol):
    """A platform that the image is there for."""

    @property
    def os(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def variant(self) -> str: ...


class Backend(Protocol):
    """What this route needs; `images.Service` satisfies it."""

    async def describe(
        self, name: str, auth: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Sequence[Platform]]: ...


def _document(platform: Platform) -> dict[str, str]:
    document = {"architecture": platform.architecture, "os": platform.os}
    return {**document, "variant": platform.variant} if platform.variant else document


def routes(backend: Backend) -> Sequence[Route]:
    """GET /distribution/{name}/json."""

    async def inspect(request: Request) -> Response:
        descriptor, platforms = await backend.describe(request.params["name"], credentials(request))
        found = [_document(platform) for platform in platforms]
        return json_response({"Descriptor": descriptor, "Platforms": found})

    return (Route("GET", "/distribution/{name:path}/json", inspect),)
