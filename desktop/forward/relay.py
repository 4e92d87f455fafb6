"""Relays for host addresses that QEMU's forwards can't listen on: IPv6."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import cast

CHUNK = 1 << 16
UDP_IDLE_SECONDS = 90.0
UDP_PEERS_MOST = 1024


class TcpRelay:
    """Listens on an IPv6 address and copies to a port on 127.0.0.1, each half on its own."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> None:
        """Raises OSError when the address can't be had."""
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
            self._server = await asyncio.start_server(self._serve, sock=listener, backlog=256)
        except OSError:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening and end what is being copied."""
        if self._server is not None:
            self._server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            finally:
                far_writer.close()
        except OSError:
            pass
        finally:
            writer.close()
            self._running.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


class UdpRelay(asyncio.DatagramProtocol):
    """The same for UDP: each peer has a socket of its own towards 127.0.0.1."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[tuple[str, int], _UdpPeer] = {}

    async def open(self, host: str, port: int) -> None:
        """Raises OSError when the address can't be had."""
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setblocking(False)
            listener.bind((host, port))
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=listener)
        except OSError:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening and forget the peers."""
        for peer in list(self._peers.values()):
            peer.close()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own class isn't a DatagramTransport, though it is one in all but name
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        peer = self._peers.get(addr)
        if peer is None:
            if len(self._peers) >= UDP_PEERS_MOST:
                return
            peer = self._peers[addr] = _UdpPeer(self, addr, self._target)
        peer.send(data)

    def answer(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send what came back to the peer."""
        if self._transport is not None:
            self._transport.sendto(data, addr)

    def forget(self, addr: tuple[str, int]) -> None:
        """Drop an idle peer."""
        self._peers.pop(addr, None)


class _UdpPeer:
    """One peer's socket towards the guest, closed when idle."""

    def __init__(self, relay: UdpRelay, addr: tuple[str, int], target: tuple[str, int]) -> None:
        self._relay = relay
        self._addr = addr
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(target)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)
        self._used = self._loop.time()
        self._timer = self._loop.call_later(UDP_IDLE_SECONDS, self._expire)

    def send(self, data: bytes) -> None:
        self._used = self._loop.time()
        with suppress(OSError):
            self._socket.send(data)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._relay.forget(self._addr)

    def _read(self) -> None:
        with suppress(OSError):
            self._used = self._loop.time()
            self._relay.answer(self._socket.recv(1 << 16), self._addr)

    def _expire(self) -> None:
        left = self._used + UDP_IDLE_SECONDS - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._expire)
        else:
            self.close()
