"""Parts of the Docker API that this engine hasn't got, answered as a dockerd without them does."""

from collections.abc import Sequence

from engine.api.http import Request, Response, Route, json_response
from engine.errors import NotFound, Unavailable, Unsupported

NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)
_SWARM_NOUNS = ("swarm", "services", "nodes", "secrets", "configs", "tasks")


def routes() -> Sequence[Route]:
    """Swarm, managed plugins, checkpoints."""
    return tuple(_swarm()) + (
        Route("GET", "/containers/{id}/checkpoints", _no_checkpoints),
        Route("POST", "/containers/{id}/checkpoints", _no_checkpoints),
        Route("DELETE", "/containers/{id}/checkpoints/{name}", _no_checkpoints),
        Route("POST", "/swarm/init", _no_swarm),
        Route("POST", "/swarm/join", _no_swarm),
        Route("POST", "/swarm/leave", _no_member),
        Route("GET", "/plugins", _no_plugins),
        Route("GET", "/plugins/privileges", _no_managed),
        Route("POST", "/plugins/pull", _no_managed),
        Route("POST", "/plugins/create", _no_managed),
        Route("GET", "/plugins/{name:path}", _no_plugin),
        Route("DELETE", "/plugins/{name:path}", _no_plugin),
        Route("POST", "/plugins/{name:path}", _no_plugin),
        Route("PUT", "/volumes/{name:path}", _no_update),
    )


def _swarm() -> list[Route]:
    found = []
    for noun in _SWARM_NOUNS:
        found.append(Route("GET", f"/{noun}", _no_manager))
        for method in ("GET", "POST", "DELETE"):
            found.append(Route(method, f"/{noun}/{{name:path}}", _no_manager))
    return found


async def _no_manager(request: Request) -> Response:
    raise Unavailable(NO_MANAGER)


async def _no_member(request: Request) -> Response:
    raise Unavailable("This node is not part of a swarm")


async def _no_swarm(request: Request) -> Response:
    raise Unsupported("this engine runs containers of one machine: it has no swarm mode")


async def _no_plugins(request: Request) -> Response:
    return json_response([])


async def _no_plugin(request: Request) -> Response:
    name = request.params["name"].split("/")[0]
    raise NotFound(f'plugin "{name}" not found')


async def _no_managed(request: Request) -> Response:
    raise Unsupported(
        "this engine has no managed plugins: volumes and networks have its own drivers"
    )


async def _no_checkpoints(request: Request) -> Response:
    raise Unsupported("this engine has no checkpoints of containers")


async def _no_update(request: Request) -> Response:
    raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")
