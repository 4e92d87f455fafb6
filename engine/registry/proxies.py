"""Which proxy a request takes, by the rules of Go programs (golang.org/x/net/http/httpproxy).

A name in NO_PROXY covers the host and what is below it, `.name` only what is below; addresses and
networks (CIDR) cover addresses; `*` covers all; a port narrows. Loopback is never asked by proxy.
"""

import base64
import ipaddress
from urllib.parse import unquote, urlsplit

from engine.registry.settings import Proxies
from engine.values import dataclass, field


@dataclass(frozen=True)
class Proxy:
    """A proxy's address, and the value of its Proxy-Authorization header ("" without a user)."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> "Proxy":
        """Of `http://[user:password@]host[:port]`."""
        parts = urlsplit(url)
        authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(parts.hostname or "", parts.port or 80, authorization)


def find_proxy(proxies: Proxies, scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy for a request, None when it goes there directly."""
    url = proxies.https if scheme == "https" else proxies.http
    if not url or is_bypassed(proxies.bypass, host.lower(), port):
        return None
    return Proxy.of(url)


def is_bypassed(bypass: str, host: str, port: int) -> bool:
    """Whether a host is reached without a proxy; `bypass` is a list by commas."""
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    words = (word.strip().lower() for word in bypass.split(","))
    return any(_covers(word, host, port, address) for word in words if word)


def _covers(word: str, host: str, port: int, address: "_Address | None") -> bool:
    if word == "*":
        return True
    if "/" in word:
        try:
            return address is not None and address in ipaddress.ip_network(word, strict=False)
        except ValueError:
            return False
    name, wanted_port = _split_port(word)
    if wanted_port is not None and wanted_port != port:
        return False
    literal = _address(name)
    if literal is not None:
        return literal == address
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else f".{host}".endswith(f".{name}")


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _split_port(word: str) -> tuple[str, int | None]:
    host, colon, port = word.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return word.strip("[]"), None


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
