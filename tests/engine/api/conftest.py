"""A server on a socket with a handful of routes, and a client that speaks bytes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.api.application import Application
from engine.api.http import Answer, Request, Route, StreamResponse, json_response
from engine.api.router import Router
from engine.api.server import Server


class Client:
    """One connection; answers are read byte by byte as HTTP says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (lower case) of the next answer."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = text.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {key.lower(): value for key, value in headers.items()}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """A whole answer."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while piece := await self.chunk():
                body += piece
            return status, headers, body
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def chunk(self) -> bytes:
        """The next chunk of a stream, b"" at its end."""
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return await self.reader.read(-1)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


class Scene:
    """The server under test; handlers leave what they saw here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clients: list[Client] = []
        self.ended = asyncio.Event()
        self.received = 0
        self.server = Server(Application(Router(self.routes())), "Test/1 (linux)")

    async def client(self) -> Client:
        client = Client(*await asyncio.open_unix_connection(str(self.path)))
        self.clients.append(client)
        return client

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/things/{name}", self.show),
            Route("POST", "/json", self.json),
            Route("POST", "/upload", self.upload),
            Route("POST", "/slow", self.slow),
            Route("GET", "/stream", self.stream),
            Route("GET", "/flood", self.flood),
            Route("GET", "/broken", self.broken),
            Route("POST", "/ignore", self.ignore),
            Route("POST", "/echo", self.echo),
        ]

    async def show(self, request: Request) -> Answer:
        return json_response({"name": request.params["name"], "version": list(request.version)})

    async def json(self, request: Request) -> Answer:
        return json_response(await request.json())

    async def upload(self, request: Request) -> Answer:
        async for piece in request.chunks():
            self.received += len(piece)
        return json_response(self.received)

    async def slow(self, request: Request) -> Answer:
        await request.closed.wait()
        self.ended.set()
        return json_response("nobody reads this")

    async def stream(self, request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                yield b""
                yield b"second"
                if request.query.flag("wait"):
                    await asyncio.sleep(60)
            finally:
                self.ended.set()

        return StreamResponse(pieces())

    async def flood(self, request: Request) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    self.received += 1 << 16
                    yield bytes(1 << 16)
            finally:
                self.ended.set()

        return StreamResponse(pieces())

    async def broken(self, request: Request) -> Answer:
        raise RuntimeError("the cause")

    async def ignore(self, request: Request) -> Answer:
        await asyncio.sleep(0.05)
        return json_response("not read")

    async def echo(self, request: Request) -> Answer:
        greeting = await request.json() if "content-length" in request.headers else {}
        connection = await request.hijack()
        connection.write(str(greeting.get("say", "")).encode())
        while data := await connection.read():
            connection.write(data)
            await connection.drain()
        connection.write(b" end")
        connection.close()
        self.ended.set()
        return None


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path / "api.sock")
    await scene.server.start(scene.path)
    yield scene
    for client in scene.clients:
        await client.close()
    await scene.server.stop()


@pytest.fixture
async def client(scene: Scene) -> Client:
    return await scene.client()
