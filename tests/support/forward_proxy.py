"""A tiny HTTP proxy: CONNECT and plain requests, to hosts that it alone knows."""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
import socketserver

from tests.support.served import Served


class ForwardProxy(Served):
    """`hosts` maps `name:port` to local ports. Use with `with`; `seen` holds the request lines."""

    def __init__(self, hosts: dict[str, int], *, user: str = "", password: str = "") -> None:
        self.hosts = hosts
        self.seen: list[str] = []
        self._wanted = ""
        if user:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._wanted = f"Basic {pair}"
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.serve(Server(("127.0.0.1", 0), Handler))

    @property
    def host(self) -> str:
        return self.address

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.seen.append(first)
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        if self._wanted and headers.get("proxy-authorization") != self._wanted:
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            )
            return
        method, target, version = first.split()
        if method == "CONNECT":
            with self._reach(target) as upstream:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                upstream.sendall(rest)
                _copy(client, upstream)
            return
        authority, slash, path = target.removeprefix("http://").partition("/")
        kept = [x for x in lines if not x.lower().startswith(("proxy-", "connection:"))]
        request = "\r\n".join([f"{method} {slash}{path} {version}", *kept, "Connection: close"])
        with self._reach(authority if ":" in authority else f"{authority}:80") as upstream:
            upstream.sendall(request.encode("latin-1") + b"\r\n\r\n" + rest)
            _copy(client, upstream)

    def _reach(self, authority: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.hosts[authority]), 10)


def _copy(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways until either end is closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select(30) or [(None, 0)]:
                if key is None:
                    return
                piece = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                if not piece:
                    return
                key.data.sendall(piece)
