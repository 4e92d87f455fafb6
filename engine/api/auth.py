"""HTTP route for logins: credentials are tried at the registry, and kept by the client alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.api.http import Request, Response, Route, json_response


class Backend(Protocol):
    """What this route needs; `images.Service` satisfies it."""

    async def login(self, credentials: Mapping[str, Any]) -> str: ...


def routes(backend: Backend) -> Sequence[Route]:
    """POST /auth."""

    async def login(request: Request) -> Response:
        token = await backend.login(await request.json())
        return json_response({"IdentityToken": token, "Status": "Login Succeeded"})

    return (Route("POST", "/auth", login),)
