"""HTTP to one registry, in threads: kept-alive connections, TLS, proxies, redirects.

http.client rather than a framework: it loads quickly, reads large bodies without copies. Names of
hosts and causes stand in the errors; credentials never do.
"""

import http.client
import ipaddress
import os
import socket
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from engine.registry.errors import Unreachable
from engine.values import dataclass

if TYPE_CHECKING:
    import ssl

CERTIFICATES = Path("/etc/docker/certs.d")
CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
_HUB_HOST = "registry-1.docker.io"
_IDLE_LIMIT = 8


@dataclass(frozen=True)
class Origin:
    """scheme://host:port, what a connection belongs to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of a URL."""
        parts = urlsplit(url)
        scheme = parts.scheme or "https"
        return cls(scheme, parts.hostname or "", parts.port or (443 if scheme == "https" else 80))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return f"{self.scheme}://{host}" + ("" if self.port == default else f":{self.port}")


def registry_host(domain: str) -> str:
    """Where a reference's domain is served: Docker Hub has another host than its name."""
    return _HUB_HOST if domain == "docker.io" else domain


def is_insecure(domain: str) -> bool:
    """Loopback registries may speak plain HTTP."""
    host = urlsplit(f"//{domain}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Transport:
    """Connections by origin, shared by the threads of one client."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._idle: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: "bytes | Iterable[bytes] | None" = None,
    ) -> http.client.HTTPResponse:
        """One request, one answer (no redirects, no errors by status). Raises Unreachable.

        Read the answer to its end, or close it; `give_back` keeps its connection.
        """
        origin = Origin.of(url)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        repeatable = body is None or isinstance(body, bytes)
        for fresh in (False, True) if repeatable else (True,):
            connection = self._take(origin, fresh)
            reused = connection.sock is not None
            try:
                connection.request(method, target, body, dict(headers))
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if reused and not fresh:
                    continue  # the registry had closed the idle connection
                raise Unreachable(f'{method.title()} "{url}": {_cause(error, origin)}') from error
            response.origin = origin  # type: ignore[attr-defined]
            response.connection = connection  # type: ignore[attr-defined]
            return response
        raise AssertionError("the second round returns or raises")

    def give_back(self, response: http.client.HTTPResponse) -> None:
        """The answer is read: its connection may serve the next request."""
        connection = response.connection  # type: ignore[attr-defined]
        origin = response.origin  # type: ignore[attr-defined]
        if response.isclosed() and connection.sock is not None:
            with self._lock:
                idle = self._idle.setdefault(origin, [])
                if len(idle) < _IDLE_LIMIT:
                    idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()
            self._idle.clear()

    def _take(self, origin: Origin, fresh: bool) -> http.client.HTTPConnection:
        with self._lock:
            idle = self._idle.get(origin)
            if idle and not fresh:
                return idle.pop()
        return self._connect(origin)

    def _connect(self, origin: Origin) -> http.client.HTTPConnection:
        proxy = _proxy(origin)
        target = Origin.of(proxy) if proxy else origin
        if origin.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                target.host, target.port, timeout=CONNECT_TIMEOUT, context=self._tls()
            )
            if proxy:
                connection.set_tunnel(origin.host, origin.port)
        else:
            connection = http.client.HTTPConnection(
                target.host, target.port, timeout=CONNECT_TIMEOUT
            )
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(f'Get "{origin}/v2/": {_cause(error, origin)}') from error
        assert connection.sock is not None
        connection.sock.settimeout(READ_TIMEOUT)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _tls(self) -> "ssl.SSLContext":
        """System CAs, and what `certs.d/<domain>/` adds: *.crt to trust, *.cert + *.key to show."""
        if self._context is None:
            import ssl

            context = ssl.create_default_context()
            if is_insecure(self._domain):
                # as dockerd: a loopback registry may show any certificate
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            folder = CERTIFICATES / self._domain
            if folder.is_dir():
                for authority in sorted(folder.glob("*.crt")):
                    context.load_verify_locations(cafile=authority)
                for certificate in sorted(folder.glob("*.cert")):
                    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            self._context = context
        return self._context


def _proxy(origin: Origin) -> str:
    """The proxy of the environment for an origin, "" when it's reached directly."""
    names = (f"{origin.scheme}_proxy", f"{origin.scheme.upper()}_PROXY")
    proxy = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if not proxy or origin.scheme == "http":
        return ""  # plain HTTP is for loopback alone
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    if proxy_bypass_environment(origin.host) or is_insecure(origin.host):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _cause(error: Exception, origin: Origin) -> str:
    """A connection's failure in Go's words, which clients and people know."""
    address = f"[{origin.host}]" if ":" in origin.host else origin.host
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {origin.host}: no such host"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {address}:{origin.port}: connect: connection refused"
    if isinstance(error, TimeoutError):
        return f"dial tcp {address}:{origin.port}: i/o timeout"
    reason = getattr(error, "verify_message", "")
    if reason:
        return (
            f"tls: failed to verify certificate: x509: {reason}; put the registry's CA into "
            f"{CERTIFICATES}/{address}:{origin.port}/ca.crt"
        )
    if isinstance(error, http.client.RemoteDisconnected):
        return "EOF"
    if isinstance(error, OSError) and error.strerror:
        return f"dial tcp {address}:{origin.port}: connect: {error.strerror.lower()}"
    return str(error) or type(error).__name__
