"""Answers at 127.0.0.11 in each container of a user network, by UDP and TCP.

The sockets are opened inside the container's network namespace and served from here: there is no
process and no redirection in the container.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from engine.networks.dns.forwarder import Forwarder
from engine.networks.dns.message import (
    AAAA,
    ANY,
    NO_SUCH_NAME,
    PTR,
    SERVER_FAILURE,
    A,
    Question,
    address_record,
    answer,
    parse,
    pointer_record,
    reverse_address,
)
from engine.networks.dns.names import Names, View
from engine.values import dataclass, field

_log = logging.getLogger(__name__)
ADDRESS = "127.0.0.11"
_PORT = 53
# Queries taken from one socket before others have their turn.
_BURST = 32
_IDLE = 10.0

Sockets = tuple[socket.socket, socket.socket]


def open_sockets(address: str = ADDRESS, port: int = _PORT) -> Sockets:
    """A datagram and a listening socket in the calling thread's namespace. Raises OSError."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        for one in (datagrams, streams):
            # A name server in the container may take port 53 of all addresses beside these.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind((address, port))
            port = one.getsockname()[1]
        streams.listen(64)
    except BaseException:
        datagrams.close()
        streams.close()
        raise
    return datagrams, streams


@dataclass
class _Served:
    view: View
    datagrams: socket.socket
    streams: socket.socket
    listener: asyncio.Task[None] | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Server:
    """All containers' resolvers, on the engine's event loop."""

    def __init__(
        self, names: Names, servers: Callable[[], Sequence[str]], forwarder: Forwarder
    ) -> None:
        self._names = names
        self._servers = servers
        self._forwarder = forwarder
        self._served: dict[str, _Served] = {}

    def serve(self, container_id: str, sockets: Sockets, view: View) -> None:
        """Answer on these sockets from now on; they are closed with `stop`."""
        self.stop(container_id)
        served = _Served(view, *sockets)
        self._served[container_id] = served
        loop = asyncio.get_running_loop()
        loop.add_reader(served.datagrams, self._readable, served)
        served.listener = loop.create_task(self._accept(served))

    def serves(self, container_id: str) -> bool:
        """Whether the container has its resolver."""
        return container_id in self._served

    def see(self, container_id: str, view: View) -> None:
        """The container's networks have changed."""
        if served := self._served.get(container_id):
            served.view = view

    def stop(self, container_id: str) -> None:
        """Close a container's sockets; twice is safe."""
        served = self._served.pop(container_id, None)
        if served is None:
            return
        asyncio.get_running_loop().remove_reader(served.datagrams)
        for task in (*served.tasks, *((served.listener,) if served.listener else ())):
            task.cancel()
        served.datagrams.close()
        served.streams.close()

    def close(self) -> None:
        """Stop all."""
        for container_id in list(self._served):
            self.stop(container_id)

    def _readable(self, served: _Served) -> None:
        for _ in range(_BURST):
            try:
                data, sender = served.datagrams.recvfrom(4096)
            except OSError:
                return
            question = parse(data)
            own = self._own_answer(served.view, question) if question else None
            if own is not None:
                with contextlib.suppress(OSError):
                    served.datagrams.sendto(own, sender)
            elif question or len(data) >= 12:
                self._spawn(served, self._forward_datagram(served, data, question, sender))

    def _spawn(self, served: _Served, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        served.tasks.add(task)
        task.add_done_callback(served.tasks.discard)

    async def _forward_datagram(
        self, served: _Served, data: bytes, question: Question | None, sender: Any
    ) -> None:
        found = await self._forward(served.view, data, question, tcp=False)
        if found is not None:
            with contextlib.suppress(OSError):
                served.datagrams.sendto(found, sender)

    async def _forward(
        self, view: View, data: bytes, question: Question | None, *, tcp: bool
    ) -> bytes | None:
        found = None
        if view.outward:
            servers = view.servers or self._servers()
            found = await self._forwarder.ask(data, servers, tcp=tcp)
        if found is None and question is not None:
            return answer(question, code=SERVER_FAILURE, tcp=tcp)
        return found

    def _own_answer(self, view: View, question: Question, *, tcp: bool = False) -> bytes | None:
        """The answer for what the engine knows; None: somebody else may know."""
        if question.type == PTR:
            address = reverse_address(question.name)
            name = self._names.reverse(view, address) if address else None
            return answer(question, [pointer_record(name)], tcp=tcp) if name else None
        addresses = self._names.lookup(view, question.name)
        if addresses is None:
            return None
        if not addresses:
            return answer(question, code=NO_SUCH_NAME, tcp=tcp)
        records = [address_record(one) for one in addresses]
        wanted = (A, AAAA) if question.type == ANY else (question.type,)
        return answer(question, [one for one in records if one[0] in wanted], tcp=tcp)

    async def _accept(self, served: _Served) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(served.streams)
            except OSError as error:
                _log.warning("the resolver of a container lost a connection: %s", error)
                await asyncio.sleep(0.1)
                continue
            self._spawn(served, self._converse(served, connection))

    async def _converse(self, served: _Served, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                async with asyncio.timeout(_IDLE):
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                    data = await reader.readexactly(length)
                found = await self._answer_stream(served.view, data)
                if found is None:
                    return
                writer.write(struct.pack(">H", len(found)) + found)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _answer_stream(self, view: View, data: bytes) -> bytes | None:
        question = parse(data)
        own = self._own_answer(view, question, tcp=True) if question else None
        return own or await self._forward(view, data, question, tcp=True)
