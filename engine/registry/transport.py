"""HTTP to one registry, in threads: kept-alive connections, TLS, proxies.

http.client rather than a framework: it loads quickly, reads large bodies without copies. Names of
hosts and causes stand in the errors; credentials and signed queries never do.
"""

import http.client
import socket
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from engine.registry import proxies
from engine.registry.errors import Unreachable
from engine.registry.settings import Settings
from engine.values import dataclass

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
_IDLE_LIMIT = 8
_BLOCK = 1 << 18  # bytes that a connection takes from an iterable at once

Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class Origin:
    """scheme://host:port, what a connection belongs to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of a URL. Raises Unreachable for one that is no http(s) address."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Unreachable(f'"{shown(url)}" is no address: {error}') from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f'"{shown(url)}" is no http(s) address')
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))

    @property
    def authority(self) -> str:
        """`host`, or `host:port` where the port isn't the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def shown(url: str) -> str:
    """A URL as errors may show it: its query may hold a signature, its user part a password."""
    bare = url.split("?", 1)[0].split("#", 1)[0]
    scheme, separator, rest = bare.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


class Transport:
    """Connections by origin, shared by the threads of one client of the registry at `host`."""

    def __init__(self, host: str, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._idle: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._closed = False

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body = None
    ) -> http.client.HTTPResponse:
        """One request, one answer (no redirects, no errors by status). Raises Unreachable.

        Read the answer to its end, or close it; `give_back` keeps its connection. A body that is
        an iterable goes out in chunks unless the headers state its length.
        """
        origin = Origin.of(url)
        repeatable = body is None or isinstance(body, bytes)
        for fresh in (False, True) if repeatable else (True,):
            connection = self._take(origin, fresh)
            reused = connection.sock is not None
            try:
                if not reused:
                    self._open(connection, origin)
                used = connection.sock  # the connection forgets it when it will be closed
                response = _exchange(connection, method, url, headers, body)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if reused and not fresh:
                    continue  # the registry had closed the idle connection
                raise Unreachable(
                    f'{method.title()} "{shown(url)}": {self._cause(error, origin)}'
                ) from error
            except BaseException:
                connection.close()  # the body failed: the server must not wait for its rest
                raise
            response.origin = origin  # type: ignore[attr-defined]
            response.socket = used  # type: ignore[attr-defined]
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
                if len(idle) < _IDLE_LIMIT and not self._closed:
                    idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they are given back."""
        with self._lock:
            self._closed = True
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()
            self._idle.clear()

    def _take(self, origin: Origin, fresh: bool) -> http.client.HTTPConnection:
        with self._lock:
            idle = self._idle.get(origin)
            if idle and not fresh:
                return idle.pop()
        return self._new(origin)

    def _new(self, origin: Origin) -> http.client.HTTPConnection:
        """A connection that isn't open yet, to the origin or its proxy."""
        proxy = self._proxy(origin)
        host, port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        authorization = proxy.authorization if proxy else ""
        if origin.scheme == "http":
            plain = http.client.HTTPConnection(
                host, port, timeout=CONNECT_TIMEOUT, blocksize=_BLOCK
            )
            # only plain requests are shown to a proxy, with the whole address and its password
            plain.via_proxy = proxy is not None  # type: ignore[attr-defined]
            plain.proxy_authorization = authorization  # type: ignore[attr-defined]
            return plain
        secure = http.client.HTTPSConnection(
            host, port, timeout=CONNECT_TIMEOUT, context=self._tls(origin), blocksize=_BLOCK
        )
        if proxy:
            headers = {"Proxy-Authorization": authorization} if authorization else {}
            secure.set_tunnel(origin.host, origin.port, headers)
        return secure

    def _open(self, connection: http.client.HTTPConnection, origin: Origin) -> None:
        connection.connect()
        assert connection.sock is not None
        connection.sock.settimeout(READ_TIMEOUT)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _proxy(self, origin: Origin) -> proxies.Proxy | None:
        return proxies.find_proxy(self._settings.proxies, origin.scheme, origin.host, origin.port)

    def _tls(self, origin: Origin) -> "ssl.SSLContext":
        from engine.registry import trust

        own = Origin.of(f"https://{self._host}") == origin
        shown_to = self._host if own else origin.authority
        with self._lock:
            made = self._contexts.get(shown_to)
        if made is None:
            made = trust.context(self._settings, self._host, shown_to)
            with self._lock:
                self._contexts[shown_to] = made
        return made

    def _cause(self, error: Exception, origin: Origin) -> str:
        """A failure in Go's words, which clients and people know."""
        proxy = self._proxy(origin)
        reached = Origin("http", proxy.host, proxy.port) if proxy else origin
        folder = self._settings.certificates[0] / origin.authority
        reason = getattr(error, "verify_message", "")
        if reason:
            return (
                f"tls: failed to verify certificate: x509: {reason}; put the registry's CA into "
                f"{folder}/ca.crt"
            )
        alert = str(getattr(error, "reason", "") or "")
        if alert in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return "http: server gave HTTP response to HTTPS client"
        if "_ALERT_" in alert:
            words = alert.partition("_ALERT_")[2].lower().replace("_", " ")
            hint = f"; the registry wants a client certificate: put it into {folder}"
            return f"remote error: tls: {words}" + (hint if "certificate" in words else "")
        cause = _dial(error, reached)
        return f"proxyconnect tcp: {cause}" if proxy and cause.startswith("dial") else cause


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Body,
) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = dict(headers)
    if getattr(connection, "via_proxy", False):
        target = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{target}"
        if connection.proxy_authorization:  # type: ignore[attr-defined]
            sent["Proxy-Authorization"] = connection.proxy_authorization  # type: ignore[attr-defined]
    chunked = not isinstance(body, bytes | None) and "Content-Length" not in sent
    if chunked:
        sent["Transfer-Encoding"] = "chunked"
    connection.request(method, target, body, sent, encode_chunked=chunked)
    return connection.getresponse()


def _dial(error: Exception, origin: Origin) -> str:
    """What went wrong between here and an address."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {origin.host}: no such host"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{origin.port}: connect: connection refused"
    if isinstance(error, TimeoutError):
        return f"dial tcp {host}:{origin.port}: i/o timeout"
    if isinstance(error, http.client.RemoteDisconnected):
        return "EOF"
    if isinstance(error, OSError) and error.strerror and not hasattr(error, "library"):
        return f"dial tcp {host}:{origin.port}: connect: {error.strerror.lower()}"
    return str(error) or type(error).__name__
