"""The Docker socket on the host: each connection becomes a stream into the VM.

Threads, not asyncio: paramiko works with threads, and a stream then costs one hand-over less.
What comes from the guest is written to the client by the transport's own thread as long as the
client keeps up; one that doesn't gets a thread that drains what has piled up, bounded by the
SSH window. What goes to the guest has one thread a connection.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_WINDOW_ADJUST
from paramiko.message import Message

from desktop.failure import Failure
from desktop.forward.ssh import Connection, close

CHUNK = 1 << 16
BUFFER = 1 << 20
log = logging.getLogger(__name__)


class Acknowledger:
    """Sends window adjustments. The transport's thread must not: sending blocks during a
    rekey, and that same thread does the rekey."""

    def __init__(self) -> None:
        self._due: SimpleQueue[tuple[StreamChannel, int]] = SimpleQueue()
        threading.Thread(target=self._run, name="ssh windows", daemon=True).start()

    def add(self, channel: StreamChannel, size: int) -> None:
        self._due.put((channel, size))

    def _run(self) -> None:
        while True:
            channel, size = self._due.get()
            channel.acknowledge(size)


_acknowledger: Acknowledger | None = None
_acknowledger_lock = threading.Lock()


def _acknowledgements() -> Acknowledger:
    global _acknowledger
    with _acknowledger_lock:
        if _acknowledger is None:
            _acknowledger = Acknowledger()
        return _acknowledger


class StreamChannel(paramiko.Channel):
    """A channel that hands what it receives to a socket instead of keeping it for `recv`."""

    def __init__(self, chanid: int, client: socket.socket) -> None:
        super().__init__(chanid)
        self._client = client
        self._pending: deque[bytes] = deque()
        self._gate = threading.Lock()
        self._draining = False
        self._ended = False
        self.finished = threading.Event()
        self._windows = _acknowledgements()

    def _feed(self, m: Message | bytes) -> None:
        """The transport's thread brings data."""
        data = m if isinstance(m, bytes) else m.get_binary()
        with self._gate:
            if self._draining:
                self._pending.append(data)
                return
            sent = self._send_now(data)
            if sent is None:
                return
            if sent < len(data):
                self._pending.append(data[sent:])
                self._draining = True
                threading.Thread(target=self._drain, name="drain", daemon=True).start()
        self._consumed(sent)

    def _handle_eof(self, m: Message) -> None:
        super()._handle_eof(m)  # type: ignore[misc]
        self._end()

    def _set_closed(self) -> None:
        super()._set_closed()  # type: ignore[misc]
        self._end()

    def _end(self) -> None:
        """No more comes from the guest: half-close the client once it has everything."""
        with self._gate:
            self._ended = True
            if not self._draining:
                self._half_close()

    def _half_close(self) -> None:
        if not self.finished.is_set():
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_WR)
            self.finished.set()

    def _send_now(self, data: bytes) -> int | None:
        """What the client takes without waiting; None when it is gone."""
        try:
            return self._client.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            self._abandon()
            return None

    def _drain(self) -> None:
        """Write what has piled up, waiting for the client; then hand back to `_feed`."""
        while True:
            with self._gate:
                if not self._pending:
                    self._draining = False
                    if self._ended:
                        self._half_close()
                    return
                data = self._pending.popleft()
            try:
                self._client.sendall(data)
            except OSError:
                with self._gate:
                    self._pending.clear()
                    self._draining = False
                    self._abandon()
                return
            self._consumed(len(data))

    def _abandon(self) -> None:
        """The client reads no more: end its other direction too, which ends the stream."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self.finished.set()

    def _consumed(self, size: int) -> None:
        inner: Any = self
        due = inner._check_add_window(size)
        if due > 0:
            self._windows.add(self, due)

    def acknowledge(self, size: int) -> None:
        """Let the guest send `size` bytes more."""
        message = Message()
        message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
        message.add_int(self.remote_chanid)
        message.add_int(size)
        with suppress(Exception):  # the transport ended: there is nobody to tell
            inner: Any = self.transport
            inner._send_user_message(message)


def gone(client: socket.socket, seconds: float = 0.0) -> bool:
    """Whether the peer has closed both directions; waits up to `seconds` for that."""
    watch = select.poll()
    watch.register(client, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in watch.poll(seconds * 1000))


def carry(client: socket.socket, channel: StreamChannel) -> None:
    """Copy both ways until both have ended, each half closed on its own; closes both."""
    try:
        while data := client.recv(CHUNK):
            channel.sendall(data)
        channel.shutdown_write()
        # A client that has gone altogether looks like a half-closed one, but for the hang-up.
        while not channel.finished.is_set() and not gone(client, 0.5):
            pass
    except (OSError, EOFError, paramiko.SSHException):
        log.debug("a stream ended early", exc_info=True)
    finally:
        close(channel)
        client.close()


class Listener:
    """A unix socket (0600) whose connections are carried to a socket in the guest.

    `admit` is called in a thread for each connection before it is carried and may wait: for a
    VM that boots, for a paused one that is resumed. It raises Failure to turn it away.
    """

    def __init__(
        self, path: Path, target: str, connection: Connection, admit: Callable[[], None]
    ) -> None:
        self._path = path
        self._target = target
        self._connection = connection
        self._admit = admit
        self._socket: socket.socket | None = None
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Bind and listen; raises Failure."""
        listener = socket.socket(socket.AF_UNIX)
        try:
            self._path.unlink(missing_ok=True)
            mask = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(mask)
            listener.listen(256)
        except OSError as error:
            listener.close()
            raise Failure(
                f"The socket {self._path} can't be made.",
                f"{error.strerror}.",
                "Make its folder writable for you, or set COVE_HOME to another folder.",
            ) from error
        self._socket = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and end every connection; the socket's file goes too."""
        listener, self._socket = self._socket, None
        if listener is not None:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._clients)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError as error:
                if self._socket is not listener:
                    return
                log.error("accept: %s", error)  # out of descriptors: try again a little later
                threading.Event().wait(0.2)
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)
        try:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self._admit()
            if gone(client):
                return
            channel = self._connection.channel(
                self._target, lambda number: StreamChannel(number, client)
            )
            assert isinstance(channel, StreamChannel)
            carry(client, channel)
        except Failure as failure:
            refuse(client, failure)
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()


def refuse(client: socket.socket, failure: Failure) -> None:
    """Answer the request that stands in the socket with the reason, as the engine would."""
    import json

    body = json.dumps({"message": str(failure).replace("\n", " ")}).encode()
    head = (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with suppress(OSError):
        client.settimeout(1.0)
        client.recv(CHUNK)  # closing with unread data would reset the connection
        client.sendall(head + body)
        client.shutdown(socket.SHUT_WR)
