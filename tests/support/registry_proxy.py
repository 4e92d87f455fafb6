"""A proxy in front of a real registry: it counts, slows down, cuts and refuses."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.served import Served

_STEP = 1 << 16


class Proxy(Served):
    """Set the attributes, then use `host` as the registry. Use with `with`."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.requests: list[tuple[str, str, str]] = []
        self.cut_after = 0  # bytes of a blob's body, once for each blob
        self.delay = 0.0  # seconds before each 64 KiB of a blob
        self.upload_delay = 0.0  # seconds before each piece of an upload
        self.corrupt = False
        self.refuse: list[int] = []  # statuses that the next requests get instead of the blob...
        self.refuse_path = ""  # ...whose path holds this
        self.broken = threading.Event()  # a client closed its connection in mid blob
        self.cuts: set[str] = set()
        self.serve(ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)))

    @property
    def host(self) -> str:
        return self.address

    def blobs(self) -> list[str]:
        """The blob requests so far, path and Range."""
        return [path for method, path, _ in self.requests if method == "GET" and "/blobs/" in path]


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                super().handle()

        def do_GET(self) -> None:
            self._forward()

        do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

        def _forward(self) -> None:
            proxy.requests.append((self.command, self.path, self.headers.get("Range", "")))
            if proxy.refuse and self.command == "GET" and proxy.refuse_path in self.path:
                self._refuse(proxy.refuse.pop(0))
            else:
                self._pass_on(self._received())

        def _received(self) -> bytes | None:
            """The request's body, whether it states its length or comes in chunks."""
            if self.headers.get("Transfer-Encoding") != "chunked":
                length = int(self.headers.get("Content-Length") or 0)
                return self.rfile.read(length) if length else None
            body = b""
            while size := int(self._line() or b"0", 16):
                if proxy.upload_delay:
                    time.sleep(proxy.upload_delay)
                body += self.rfile.read(size)
                self._line()
            self._line()
            return body

        def _line(self) -> bytes:
            line = self.rfile.readline()
            if not line:
                proxy.broken.set()
                raise ConnectionError("the client went away")
            return line.strip()

        def _refuse(self, status: int) -> None:
            content = b"{}"
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _pass_on(self, body: bytes | None) -> None:
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", proxy.upstream, timeout=20)
            ) as upstream:
                self._ask(upstream, body)

        def _ask(self, upstream: http.client.HTTPConnection, body: bytes | None) -> None:
            dropped = ("transfer-encoding", "content-length")
            headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self._body(answer)
            answer.close()

        def _body(self, answer: http.client.HTTPResponse) -> None:
            is_blob = "/blobs/sha256:" in self.path
            sent = 0
            while piece := answer.read(_STEP):
                if is_blob and proxy.cut_after and sent >= proxy.cut_after:
                    if self.path not in proxy.cuts:
                        proxy.cuts.add(self.path)
                        self.close_connection = True
                        self.connection.close()
                        return
                if is_blob and proxy.delay:
                    time.sleep(proxy.delay)
                if is_blob and proxy.corrupt:
                    piece = bytes([piece[0] ^ 1]) + piece[1:]
                try:
                    self.wfile.write(piece)
                except OSError:
                    proxy.broken.set()
                    raise
                sent += len(piece)

    return Handler
