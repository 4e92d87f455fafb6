"""The distribution client against a small server on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from engine.registry.auth import Credentials
from engine.registry.client import Client
from engine.registry.endpoints import Endpoint, endpoints, own_endpoint
from engine.registry.errors import RegistryError, Unreachable, from_response
from engine.registry.settings import Settings

Answer = tuple[int, dict[str, str], bytes]
Serve = Callable[[str, dict[str, str]], Answer]


class Server:
    """Answers by a function of path and headers; remembers what was asked."""

    def __init__(self) -> None:
        self.serve: Serve = lambda path, headers: (404, {}, b"")
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length") or 0))
                outer.asked.append((self.command, self.path, headers))
                status, more, content = outer.serve(self.path, headers)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if self.command != "HEAD" else b"")

            do_HEAD = do_POST = do_PUT = do_GET

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    thread = Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    made = client_of(server)
    yield made
    made.close()


def client_of(server: Server, **credentials: str) -> Client:
    host = server.url.removeprefix("http://")
    return Client(Endpoint(host, server.url), "app", Settings(), Credentials(**credentials))


def test_tags_on_many_pages(server: Server, client: Client) -> None:
    pages = {
        "/v2/app/tags/list": ('{"tags": ["a", "b"]}', '</v2/app/tags/list?last=b>; rel="next"'),
        "/v2/app/tags/list?last=b": ('{"tags": ["c"]}', '<?last=c>; rel="next"'),
        "/v2/app/tags/list?last=c": ('{"tags": null}', ""),
    }
    server.serve = lambda path, _: (200, {"Link": pages[path][1]}, pages[path][0].encode())
    assert client.tags() == ["a", "b", "c"]


def test_a_manifest_is_checked_by_any_digest(server: Server, client: Client) -> None:
    content = b'{"schemaVersion": 2}'
    server.serve = lambda *_: (200, {"Content-Type": "x/y; charset=utf-8"}, content)
    for algorithm in ("sha256", "sha512"):
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        assert client.manifest(digest).digest == digest
        with pytest.raises(RegistryError, match="manifest verification failed"):
            client.manifest(f"{algorithm}:{'0' * len(digest.partition(':')[2])}")
    assert client.manifest("latest").media_type == "x/y"


def test_credentials_stay_at_home(server: Server, other: Server) -> None:
    other.serve = lambda *_: (200, {}, b"elsewhere")
    server.serve = lambda path, headers: (
        (307, {"Location": f"{other.url}/store?X-Signature=1"}, b"")
        if "authorization" in headers
        else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    )
    client = client_of(server, username="me", password="pw")
    response, offset = client.blob("sha256:" + "0" * 64, 5)
    assert (response.read(), offset) == (b"elsewhere", 0)
    client.release(response)
    assert "authorization" in server.asked[-1][2]
    _, path, headers = other.asked[-1]
    assert path == "/store?X-Signature=1" and "authorization" not in headers
    assert headers["range"] == "bytes=5-"
    other.serve = lambda *_: (500, {}, b"")
    with pytest.raises(RegistryError) as caught:
        client.blob("sha256:" + "0" * 64)
    assert "Signature" not in str(caught.value) and "500 Internal Server Error" in str(caught.value)
    client.close()


def test_redirects_end(server: Server, client: Client) -> None:
    server.serve = lambda path, _: (302, {"Location": path}, b"")
    with pytest.raises(Unreachable, match="redirects more than 5 times"):
        client.manifest("latest")
    server.serve = lambda path, _: (302, {"Location": "file:///etc/passwd"}, b"")
    with pytest.raises(Unreachable, match=r"is no http\(s\) address"):
        client.manifest("latest")


def test_tokens_by_scope_are_kept(server: Server, client: Client) -> None:
    challenge = f'Bearer realm="{server.url}/token?kept=1",service="reg, istry"'

    def serve(path: str, headers: dict[str, str]) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "t", "expires_in": 300}'
        if headers.get("authorization") != "Bearer t":
            return 401, {"WWW-Authenticate": challenge}, b""
        return 200, {"Location": "/v2/app/blobs/uploads/1?_state=s"}, b'{"schemaVersion": 2}'

    server.serve = serve
    client.manifest("one")
    client.manifest("two")
    client.begin_upload()
    tokens = [path for _, path, _ in server.asked if path.startswith("/token")]
    assert tokens == [
        "/token?kept=1&service=reg%2C+istry&scope=repository%3Aapp%3Apull",
        "/token?kept=1&service=reg%2C+istry&scope=repository%3Aapp%3Apull%2Cpush",
    ]
    # a body that can't be repeated is never sent without what the registry is known to want
    refusals = [method for method, _, headers in server.asked if "authorization" not in headers]
    assert refusals.count("GET") == 1 + len(tokens) and "POST" not in refusals


def test_a_token_server_without_encryption_gets_no_password() -> None:
    from engine.registry.auth import Authenticator
    from engine.registry.transport import Transport

    transport = Transport("reg.example", Settings())
    challenge = ['Bearer realm="http://evil.example/token?x=secret"']
    known = Authenticator(transport, Credentials(username="me", password="pw"), secure=True)
    with pytest.raises(RegistryError, match='"http://evil.example/token", which is not encrypted'):
        known.respond(challenge, "repository:app:pull")


def test_a_stale_connection_is_made_anew(server: Server, client: Client) -> None:
    server.serve = lambda *_: (200, {}, b'{"schemaVersion": 2}')
    client.manifest("one")
    (idle,) = client._transport._idle.values()
    assert idle[0].sock is not None
    idle[0].sock.shutdown(2)
    client.manifest("two")
    assert len(server.asked) == 2


def test_endpoints() -> None:
    settings = Settings(mirrors=("http://mirror:1",), insecure=("plain:5000",))
    mirror, hub = endpoints("docker.io", settings)
    assert (mirror.host, mirror.base, mirror.mirror) == ("mirror:1", "http://mirror:1", True)
    assert (hub.base, hub.mirror) == ("https://registry-1.docker.io", False)
    assert endpoints("quay.io", settings) == [own_endpoint("quay.io", settings)]
    assert own_endpoint("plain:5000", settings).base == ""


def test_another_host_is_told_nothing(server: Server, other: Server) -> None:
    """A store that blobs are redirected to asks for the user itself, and has uploads sent to it."""
    digest = "sha256:" + "0" * 64
    theft = f'Bearer realm="{other.url}/token",service="x"'
    other.serve = lambda path, _: (
        (200, {}, b'{"token": "t"}') if "token" in path else (401, {"WWW-Authenticate": theft}, b"")
    )

    def serve(path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if "authorization" not in headers:
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        if "uploads" in path:
            return 202, {"Location": f"{other.url}/upload"}, b""
        return 307, {"Location": f"{other.url}/store"}, b""

    server.serve = serve
    client = client_of(server, username="me", password="pw")
    with pytest.raises(RegistryError) as caught:
        client.blob(digest)
    assert caught.value.http_status == 401
    with pytest.raises(RegistryError):
        client.upload(client.begin_upload(), digest, 1, [b"x"])
    assert [path for _, path, _ in other.asked] == ["/store", f"/upload?digest=sha256%3A{'0' * 64}"]
    assert not any("authorization" in headers for _, _, headers in other.asked)
    client.close()


def test_pages_elsewhere_are_asked_for_without_credentials(server: Server, other: Server) -> None:
    other.serve = lambda *_: (200, {}, b'{"tags": ["b"]}')
    server.serve = lambda _, headers: (
        (200, {"Link": f'<{other.url}/next>; rel="next"'}, b'{"tags": ["a"]}')
        if "authorization" in headers
        else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    )
    client = client_of(server, username="me", password="pw")
    assert client.tags() == ["a", "b"]
    assert "authorization" not in other.asked[-1][2]
    client.close()


def test_a_list_of_tags_without_end(server: Server, client: Client) -> None:
    page = b'{"tags": ["' + b"x" * (4 << 20) + b'"]}'
    server.serve = lambda *_: (200, {"Link": '</v2/app/tags/list?n=1>; rel="next"'}, page)
    with pytest.raises(RegistryError, match="larger than 64 MiB"):
        client.tags()
    assert len(server.asked) < 20
    link = "<" + "x" * 70_000 + '>; rel="next"'
    server.serve = lambda *_: (200, {"Link": link}, b"{}")
    with pytest.raises(Unreachable):
        client.tags()


@pytest.mark.parametrize("word", ["\u00b2", "9" * 400, "-1", "1e9", "soon"])
def test_times_to_wait_that_are_none(word: str) -> None:
    assert from_response(503, b"", retry_after=word).retry_after == 0
    assert "too many requests" in str(from_response(429, b"", retry_after=word)).lower()
