"""One connection to a container's streams, shared by every client that is attached.

conmon's `attach` socket is SOCK_SEQPACKET: a packet is a byte for the stream (2 stdout, 3
stderr), then up to 8 KiB of output; packets the other way are input. conmon closes the container's
stdin as soon as any of its clients leaves, so the engine is one client, not many.
"""

import asyncio
import functools
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from engine.linux.packets import PacketReader
from engine.runtime.inbox import Inbox, settle
from engine.runtime.streams import STDERR, STDOUT

_HELD = 4 << 20  # bytes that a slow client may have waiting before the container must wait
_HELD_AT_END = 64 << 20  # what the pipes of an ended container may still hold, and then some
_INPUT = 16 << 10  # conmon reads input in pieces of 32 KiB and drops the rest of a packet
_STDERR_MARK = 3
_LAST_BATCHES = 64
_WORTHWHILE = 12  # packets; conmon's side holds some 16
_FLOW_SECONDS = 0.005
_REST_SECONDS = 0.001


@functools.cache
def _packets() -> PacketReader:
    """Shared by all hubs: it's empty between their turns."""
    return PacketReader()


class Hub:
    """The engine's side of the `attach` socket of one container."""

    def __init__(self, folder: Path, *, stdin: bool, closes_stdin: bool) -> None:
        self._folder = folder
        self._stdin = stdin
        self._closes_stdin = closes_stdin
        self._socket: socket.socket | None = None
        self._clients: list[Attached] = []
        self._reading = False
        self._writable: asyncio.Future[None] | None = None
        self._input = asyncio.Lock()
        self._input_closed = False
        self._claimed = False
        self._most = _HELD
        self._received = 0.0
        self._resting: asyncio.TimerHandle | None = None

    def attach(self) -> "Attached":
        """A new client; one of an ended container ends at once."""
        client = Attached(self)
        if self._socket is None and not self._connect():
            client.inbox.end()
            return client
        self._clients.append(client)
        self._resume()
        return client

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)
        try:
            # by descriptor: the path of a socket may not be longer than 107 bytes
            connection.connect(f"/proc/self/fd/{folder}/attach")
        except OSError:
            connection.close()
            return False
        finally:
            os.close(folder)
        connection.setblocking(False)
        self._socket = connection
        return True

    def _resume(self) -> None:
        if self._socket is not None and not self._reading and self._resting is None:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._socket, self._ready)

    def _pause(self) -> None:
        if self._socket is not None and self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._socket)

    def _ready(self) -> None:
        count = self._take()
        if self._socket is not None and count < _WORTHWHILE:
            self._rest()

    def _take(self) -> int:
        """Take every packet that waits, and hand out runs of one stream; how many there were."""
        assert self._socket is not None
        packets, fd = _packets(), self._socket.fileno()
        failed = False
        try:
            packets.receive(fd)  # what comes meanwhile can wait for the next turn
        except BlockingIOError:
            pass
        except OSError:
            failed = True
        count = packets.held
        runs, ended = packets.take()
        for mark, data in runs:
            self._give(mark, data)
        if ended or failed:
            self._close()
        return count

    def _rest(self) -> None:
        """In a flow of output let some gather: fewer, bigger pieces cost everyone less."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._received < _FLOW_SECONDS and self._reading:
            self._pause()
            self._resting = loop.call_later(_REST_SECONDS, self._rested)
        self._received = now

    def _rested(self) -> None:
        self._resting = None
        self.consumed()

    def _give(self, mark: int, data: bytes) -> None:
        stream = STDERR if mark == _STDERR_MARK else STDOUT
        for client in self._clients:
            client.inbox.put(stream, data)
        if any(client.inbox.held > self._most for client in self._clients):
            self._pause()

    def consumed(self) -> None:
        """A client took something: go on reading if none is too far behind."""
        if not self._reading and all(client.inbox.held <= self._most for client in self._clients):
            self._resume()

    def finish(self) -> None:
        """The container's process has ended: take the rest, however slow the clients are.

        conmon doesn't end before its output is taken, and nobody would hear of the exit.
        """
        self._most = _HELD_AT_END
        if self._clients:
            self.consumed()

    def leave(self, client: "Attached") -> None:
        """A client went away."""
        if client not in self._clients:
            return
        self._clients.remove(client)
        if self._clients or self._socket is None:
            self.consumed()
        elif not self._closes_stdin or self._claimed:
            # conmon closes a stdin meant for one client when the connection goes
            self._disconnect()

    def end(self) -> None:
        """The container's output is over; what conmon sent last may still wait to be taken."""
        for _ in range(_LAST_BATCHES):  # a socket holds less; who goes on writing isn't waited for
            if self._socket is None or not self._take():
                break
        self._close()

    def _close(self) -> None:
        self._disconnect()
        clients, self._clients = self._clients, []
        for client in clients:
            client.inbox.end()

    def _disconnect(self) -> None:
        if self._socket is None:
            return
        self._pause()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._socket)
        self._socket.close()
        self._socket = None
        if self._writable is not None:
            settle(self._writable)

    async def write(self, data: bytes) -> None:
        """Give input to the container, in order. Raises BrokenPipeError once it's over."""
        if not self._stdin:
            return
        self._claimed = True
        async with self._input:
            view = memoryview(data)
            for offset in range(0, len(view), _INPUT):
                await self._send(view[offset : offset + _INPUT])

    async def _send(self, packet: memoryview) -> None:
        while True:
            if self._socket is None or self._input_closed:
                raise BrokenPipeError("the container's stdin is closed")
            try:
                self._socket.send(packet)
                return
            except BlockingIOError:
                await self._wait_writable()
            except OSError as error:
                raise BrokenPipeError("the container's stdin is closed") from error

    async def _wait_writable(self) -> None:
        loop = asyncio.get_running_loop()
        connection = self._socket
        assert connection is not None
        self._writable = future = loop.create_future()
        loop.add_writer(connection, settle, future)
        try:
            await future
        finally:
            if self._socket is connection:
                loop.remove_writer(connection)

    async def close_input(self) -> None:
        """Close the container's stdin, if it was opened for one client only."""
        if not self._closes_stdin or self._input_closed:
            return
        self._claimed = True
        async with self._input:
            self._input_closed = True
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_WR)


class Attached:
    """One client's Streams on a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.inbox = Inbox(hub.consumed)

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        return await self.inbox.take()

    async def write(self, data: bytes) -> None:
        """Give input. Raises BrokenPipeError when the container closed stdin."""
        await self._hub.write(data)

    async def close_stdin(self) -> None:
        """End the input, where Docker does (StdinOnce)."""
        await self._hub.close_input()

    def close(self) -> None:
        """Let go; the container goes on."""
        self.inbox.discard()
        self._hub.leave(self)
