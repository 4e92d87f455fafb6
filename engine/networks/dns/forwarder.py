"""Questions for the outside: asked of the machine's name servers, from the machine's network."""

import asyncio
import contextlib
import struct
from collections.abc import Sequence

from engine.networks.dns.message import SERVER_FAILURE, response_code

# Seconds for one server to answer before the next is asked.
_PATIENCE = 3.0
_AT_ONCE = 512
_PORT = 53
_REFUSED = 5


class _Query(asyncio.DatagramProtocol):
    """Waits for the answer to one datagram."""

    def __init__(self, ident: bytes) -> None:
        self._ident = ident
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: object) -> None:
        if data[:2] == self._ident and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Forwarder:
    """Asks servers in turn. `ask` never raises but when it is cancelled."""

    def __init__(self, port: int = _PORT, patience: float = _PATIENCE) -> None:
        self._port = port
        self._patience = patience
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, query: bytes, servers: Sequence[str], *, tcp: bool) -> bytes | None:
        """The first useful answer, else the last one; None when no server answered."""
        last: bytes | None = None
        async with self._slots:
            for server in servers:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(self._patience):
                        ask = self._by_tcp if tcp else self._by_udp
                        last = await ask(query, server)
                    if response_code(last) not in (SERVER_FAILURE, _REFUSED):
                        return last
        return last

    async def _by_udp(self, query: bytes, server: str) -> bytes:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Query(query[:2]), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(query)
            return await protocol.answer
        finally:
            transport.close()

    async def _by_tcp(self, query: bytes, server: str) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack(">H", len(query)) + query)
            (length,) = struct.unpack(">H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()
