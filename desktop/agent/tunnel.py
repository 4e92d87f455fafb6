"""What goes through SSH, as the machine and the agent see it. paramiko is imported in a thread
while the VM boots: it costs a tenth of a second that the start of QEMU needn't wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from desktop.paths import Home

if TYPE_CHECKING:
    from desktop.forward.hostlink import HostLink
    from desktop.forward.sockets import Listener
    from desktop.forward.ssh import Connection

ENGINE_SOCKET = "/run/cove/engine.sock"
PING_SECONDS = 10.0


class Tunnel:
    """The machine's `Link`, the Docker socket and the engine's host link over one connection."""

    def __init__(
        self,
        home: Home,
        admit: Callable[[], None],
        port_request: Callable[[dict[str, Any]], dict[str, Any] | None],
    ) -> None:
        self._home = home
        self._admit = admit
        self._port_request = port_request
        self._made: Connection | None = None
        self._listener: Listener | None = None
        self._host_link: HostLink | None = None
        self._turn = threading.Lock()

    def listen(self) -> None:
        """Open the Docker socket: connections wait there for the VM. Raises Failure."""
        from desktop.forward.sockets import Listener

        if self._listener is None:
            listener = Listener(
                self._home.docker_socket, ENGINE_SOCKET, self._connection(), self._admit
            )
            listener.open()
            self._listener = listener

    def stop_listening(self) -> None:
        """Close the Docker socket and its connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def serve_ports(self) -> None:
        """Answer the engine's requests for ports from now on."""
        from desktop.forward.hostlink import HostLink

        if self._host_link is None:
            self._host_link = HostLink(self._connection(), self._port_request)
        self._host_link.open()

    def stop_ports(self) -> None:
        if self._host_link is not None:
            self._host_link.close()

    def rest(self, resting: bool) -> None:
        """Whether the VM is paused and can't answer."""
        if self._made is not None:
            self._made.rest(resting)

    async def open(self, port: int) -> None:
        """Connect to the guest's sshd and stay connected; raises Failure."""
        await asyncio.to_thread(lambda: self._connection().open(port))

    async def engine_answers(self) -> bool:
        """Whether the engine answers a ping."""
        return await asyncio.to_thread(self._ping)

    async def close(self) -> None:
        """Drop the connection."""
        if self._made is not None:
            await asyncio.to_thread(self._made.close)

    def _connection(self) -> Connection:
        from desktop.forward.ssh import Connection

        with self._turn:
            if self._made is None:
                self._made = Connection(self._home.host_key, self._home.user_key)
            return self._made

    def _ping(self) -> bool:
        import paramiko

        from desktop.failure import Failure
        from desktop.forward.ssh import close

        try:
            channel = self._connection().channel(ENGINE_SOCKET, paramiko.Channel, PING_SECONDS)
        except Failure:
            return False
        try:
            channel.settimeout(PING_SECONDS)
            channel.sendall(b"GET /_ping HTTP/1.1\r\nHost: cove\r\nConnection: close\r\n\r\n")
            return b" 200 " in channel.recv(64)
        except (OSError, EOFError, paramiko.SSHException):
            return False
        finally:
            close(channel)
