"""What the engine hasn't got is refused in words, and nothing else answers there."""

import pytest

from engine.api import absent, containers
from engine.api.router import Router
from engine.errors import EngineError


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/swarm", 503, "not a swarm manager"),
        ("POST", "/swarm/init", 501, "no swarm mode"),
        ("GET", "/services/x/logs", 503, "not a swarm manager"),
        ("GET", "/plugins/privileges", 501, "no managed plugins"),
        ("POST", "/plugins/pull", 501, "no managed plugins"),
        ("GET", "/plugins/x/json", 404, 'plugin "x" not found'),
        ("DELETE", "/plugins/x", 404, 'plugin "x" not found'),
        ("POST", "/containers/x/checkpoints", 501, "no checkpoints"),
        ("DELETE", "/containers/x/checkpoints/y", 501, "no checkpoints"),
        ("PUT", "/volumes/x", 503, "only valid for cluster volumes"),
    ],
)
async def test_refusals(method: str, path: str, status: int, words: str) -> None:
    # the containers' routes stand before these in the engine
    router = Router([*containers.routes(None), *absent.routes()])  # type: ignore[arg-type]
    handler, params = router.find(method, path)

    class Request:
        pass

    request = Request()
    request.params = params  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match=words) as caught:
        await handler(request)  # type: ignore[arg-type]
    assert caught.value.status == status
