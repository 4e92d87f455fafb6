"""Where a repository is served: mirrors first (for Docker Hub), then its own registry."""

import threading
import time
from collections.abc import Sequence

from engine.registry.errors import Unreachable
from engine.registry.settings import Settings
from engine.registry.transport import Transport
from engine.registry.trust import is_insecure
from engine.values import dataclass

HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_KNOWN_FOR = 30.0  # seconds

# which scheme an insecure registry turned out to speak, and until when that is believed
_schemes: dict[str, tuple[str, float]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Endpoint:
    """A registry's host, its base address ("" while the scheme must be found), its part."""

    host: str
    base: str
    mirror: bool = False


def registry_host(domain: str) -> str:
    """Where a reference's domain is served: Docker Hub has another host than its name."""
    return _HUB_HOST if domain == HUB else domain


def own_endpoint(domain: str, settings: Settings) -> Endpoint:
    """The registry that a domain names, without mirrors: pushes and logins go there."""
    host = registry_host(domain)
    return Endpoint(host, "" if is_insecure(settings, host) else f"https://{host}")


def endpoints(domain: str, settings: Settings) -> Sequence[Endpoint]:
    """Where to pull from, in order."""
    own = own_endpoint(domain, settings)
    if domain != HUB:
        return [own]
    mirrors = (Endpoint(url.partition("://")[2], url, mirror=True) for url in settings.mirrors)
    return [*mirrors, own]


def find_base(endpoint: Endpoint, transport: Transport) -> str:
    """An insecure registry's base address: https where it speaks that, else plain http. Blocks.

    Raises Unreachable when it speaks neither.
    """
    host = endpoint.host
    with _lock:
        scheme, until = _schemes.get(host, ("", 0.0))
    if scheme and time.monotonic() < until:
        return f"{scheme}://{host}"
    scheme = "https"
    try:
        _ask(transport, f"https://{host}/v2/")
    except Unreachable:
        # raises for both when nobody listens at all
        _ask(transport, f"http://{host}/v2/")
        scheme = "http"
    with _lock:
        _schemes[host] = (scheme, time.monotonic() + _KNOWN_FOR)
    return f"{scheme}://{host}"


def _ask(transport: Transport, url: str) -> None:
    response = transport.send("GET", url, {})
    response.read()
    transport.give_back(response)
