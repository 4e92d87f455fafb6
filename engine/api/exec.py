"""HTTP routes for exec sessions: create, start, resize, inspect."""

from collections.abc import Sequence
from typing import Any, Protocol

from engine.api.attached import AttachedClient
from engine.api.containers_io import resize_words, stream_type
from engine.api.fields import spelled
from engine.api.http import Answer, Request, Response, Route, created, json_response
from engine.errors import BadRequest, EngineError

Document = dict[str, Any]


class Backend(Protocol):
    """What these routes need; `containers.exec.Execs` satisfies it."""

    async def create(self, reference: str, body: Document) -> str: ...
    def check(self, id: str) -> None: ...
    async def start(self, id: str, *, console_size: tuple[int, int] | None = None) -> None: ...
    async def attach(self, id: str, client: AttachedClient) -> None: ...
    def let_run(self, id: str) -> None: ...
    async def resize(self, id: str, height: int, width: int) -> None: ...
    def inspect(self, id: str) -> Document: ...


def _console_size(body: Document) -> tuple[int, int] | None:
    size = body.get("ConsoleSize")
    if not size:
        return None
    if not (isinstance(size, list) and all(isinstance(n, int) and n >= 0 for n in size)):
        raise BadRequest("invalid ConsoleSize: it must be a height and a width")
    height, width = [*size, 0, 0][:2]
    return (height, width) if height and width else None


def routes(backend: Backend) -> Sequence[Route]:
    """The routes of exec sessions."""

    async def create(request: Request) -> Answer:
        id = await backend.create(request.params["id"], spelled(await request.json()))
        return created({"Id": id})

    async def start(request: Request) -> Answer:
        id, body = request.params["id"], spelled(await request.json())
        if body.get("Detach"):
            await backend.start(id)
            backend.let_run(id)
            return Response(200)
        size = _console_size(body)
        backend.check(id)
        # What the client says here decides on frames, not what the exec was created with.
        terminal = bool(body.get("Tty"))
        # The head goes out before the program runs: docker-py loses output that comes with it.
        connection = await request.hijack(stream_type(request, terminal=terminal))
        client = AttachedClient(connection, framed=not terminal)
        try:
            await backend.start(id, console_size=size)
            await backend.attach(id, client)
        except EngineError as error:
            # told in the stream; the client then asks for the exit code
            await client.send(1, f"{error.message}\r\n".encode())
        finally:
            connection.close()
        return None

    async def resize(request: Request) -> Answer:
        height, width = resize_words(request.query)
        await backend.resize(request.params["id"], height, width)
        return Response(200)

    async def inspect(request: Request) -> Answer:
        return json_response(backend.inspect(request.params["id"]))

    return (
        Route("POST", "/containers/{id}/exec", create),
        Route("POST", "/exec/{id}/start", start),
        Route("POST", "/exec/{id}/resize", resize),
        Route("GET", "/exec/{id}/json", inspect),
    )
