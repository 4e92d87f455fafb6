"""The API's socket: listen, make connections, stop cleanly."""

import asyncio
import contextlib
import errno
import os
import resource
import socket
from pathlib import Path
from typing import Final

from engine.api.connection import Connection, Handle
from engine.api.router import API_VERSION
from engine.api.writer import ServerHeaders
from engine.errors import EngineError

PATH_LIMIT: Final = 107  # bytes; sun_path of Linux less its zero
BACKLOG = 4096
CROWD = 32  # connections accepted at a time
MOST = 16384
STOP_SECONDS = 3.0


class SocketError(EngineError):
    """The socket can't be had; the message says why and what to do."""


class Server:
    """Life: start, serve, stop. Closing twice is safe."""

    def __init__(self, handle: Handle, product: str, most: int = 0) -> None:
        """`most` connections at a time; 0: as many as leave files to the rest of the engine."""
        self._handle = handle
        self._headers = ServerHeaders(
            {
                "Api-Version": ".".join(map(str, API_VERSION)),
                "Docker-Experimental": "false",
                "Ostype": "linux",
                "Server": product,
            }
        )
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._most = most or most_connections()
        self._idle = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._inode = 0

    async def start(self, path: Path, mode: int = 0o600, gid: int = -1) -> None:
        """Listen at path; a socket that nobody serves any more is replaced. Raises SocketError."""
        listener = _bind(path, mode, gid)
        self._path = path
        self._inode = os.stat(path).st_ino
        loop = asyncio.get_running_loop()
        # the loop accepts as many as its backlog says before it does anything else
        self._server = await loop.create_unix_server(self._connect, sock=listener, backlog=CROWD)
        listener.listen(BACKLOG)

    async def stop(self) -> None:
        """Stop listening, end streams, let short answers finish for a few seconds."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if not self._connections:
            self._idle.set()
        for connection in tuple(self._connections):
            connection.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._idle.wait()
        for connection in tuple(self._connections):
            connection.abort()
        self._unlink()

    def _connect(self) -> Connection:
        return Connection(self._handle, self._headers, self._began, self._ended)

    def _began(self, connection: Connection) -> None:
        if len(self._connections) >= self._most:
            self._make_room()
        self._connections[connection] = None
        self._idle.clear()
        if self._server is None:  # accepted, but too late
            connection.stop()

    def _ended(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        if not self._connections:
            self._idle.set()

    def _make_room(self) -> None:
        """Close the oldest connection that asks nothing; with none of those the oldest of all."""
        oldest = next((one for one in self._connections if one.idle), None)
        oldest = oldest or next(iter(self._connections))
        del self._connections[oldest]
        oldest.abort()

    def _unlink(self) -> None:
        # Another engine may have put its own socket there meanwhile.
        if self._path is not None:
            with contextlib.suppress(OSError):
                if os.stat(self._path).st_ino == self._inode:
                    self._path.unlink()


def most_connections() -> int:
    """Half of the files that this process may open, within reason."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, max(16, soft // 2))


def check_path(path: Path) -> None:
    """Raise SocketError if nobody could listen at path, or somebody does; removes a stale one."""
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise SocketError(
            f"the socket's path is longer than {PATH_LIMIT} bytes: {path}. Choose a shorter one."
        )
    _remove_stale(path)


def _bind(path: Path, mode: int, gid: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_path(path)
        # Nobody but us may connect before mode and group are what they should be.
        old = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(old)
        if gid != -1:
            os.chown(path, -1, gid)
        path.chmod(mode)
    except OSError as error:
        listener.close()
        raise SocketError(f"can't listen at {path}: {error.strerror}") from error
    except SocketError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        if path.exists() or path.is_symlink():
            raise SocketError(f"{path} is in the way: it is not a socket. Move it away.")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        result = probe.connect_ex(os.fspath(path))
    if result in (errno.ECONNREFUSED, errno.ENOENT):
        path.unlink(missing_ok=True)
        return
    raise SocketError(
        f"{path} is already served by another program: stop it, or choose another --socket"
    )
