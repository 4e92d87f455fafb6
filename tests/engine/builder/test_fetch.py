"""Files of URLs: servers that lie, and redirects that lead elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from engine.builder.fetch import download
from engine.errors import BadRequest


class Handler(BaseHTTPRequestHandler):
    """Paths are what the server does: /file, /short, /to/ADDRESS, /loop, /404."""

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        moved = self.path.startswith("/to/") or self.path == "/loop"
        missing = self.path == "/404"
        self.send_response(302 if moved else 404 if missing else 200)
        if moved:
            self.send_header("Location", self.path.removeprefix("/to/"))
        size = 5 + (self.path == "/short")
        self.send_header("Content-Length", str(size))
        self.send_header("Last-Modified", "Mon, 99 Nonsense")
        self.end_headers()
        self.wfile.write(b"12345")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_file_with_its_checksum(address: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"12345").hexdigest()
    got = await download(f"{address}/file", tmp_path / "a", checksum=f"sha256:{digest}")
    assert (got.path.read_bytes(), got.digest, got.name) == (b"12345", digest, "file")
    assert got.path.stat().st_mtime == 0
    with pytest.raises(BadRequest, match="digest mismatch"):
        await download(f"{address}/file", tmp_path / "b", checksum=f"sha256:{'0' * 64}")


async def test_a_body_that_is_cut_short(address: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="unexpected EOF, 1 bytes are missing"):
        await download(f"{address}/short", tmp_path / "a")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1:1/x", "data:,x", "unix:///x", "/loop"]
)
async def test_redirects_lead_to_web_servers_alone(
    address: str, tmp_path: Path, target: str
) -> None:
    with pytest.raises(BadRequest):
        await download(f"{address}/to/{target}", tmp_path / "a")


async def test_refusals_are_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="failed to GET .* with status 404 Not Found"):
        await download(f"{address}/404", tmp_path / "a")
    for url in ("http://[::1/x", "http:///x", f"{address}/a b\r\nX: y"):
        with pytest.raises(BadRequest, match="Get"):
            await download(url, tmp_path / "b")
