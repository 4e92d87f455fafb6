"""The link to the desktop that opens published ports on the user's machine.

The engine listens on a unix socket; the host agent connects to it (through SSH, from outside the
VM). Both send JSON documents, one a line. A newer connection takes the place of an older one. On
each connection the engine first tells the agent to drop all, then asks again for every port that
is in force: after a fall of either side the user's machine matches the engine.
"""

import asyncio
import contextlib
import json
import logging
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.values import dataclass

_log = logging.getLogger(__name__)
# Seconds that a port waits for an agent, and for its answer.
_PATIENCE = 10.0
_LINE = 1 << 16


class HostRefused(EngineError):
    """The user's machine can't open the port; says why."""


class AddressAbsent(HostRefused):
    """The user's machine has no such address, or no IPv6 at all."""


@dataclass(frozen=True)
class Port:
    """A port of the user's machine."""

    protocol: str
    host_ip: str
    host_port: int

    def to_wire(self) -> dict[str, Any]:
        """The fields that name it in a message."""
        return {
            "protocol": self.protocol,
            "host_ip": self.host_ip,
            "host_port": self.host_port,
        }


class _Agent:
    """One connection of the host agent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0

    def tell(self, document: dict[str, Any]) -> None:
        """Send without an answer to wait for."""
        self._writer.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")

    async def ask(self, document: dict[str, Any]) -> dict[str, Any]:
        """Send and wait for the answer. Raises HostRefused, ConnectionError, TimeoutError."""
        self._last += 1
        number = self._last
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self.tell({"id": number, **document})
            answer: dict[str, Any] = await asyncio.wait_for(future, _PATIENCE)
        finally:
            self._waiting.pop(number, None)
        if error := answer.get("error"):
            raise (AddressAbsent if answer.get("absent") else HostRefused)(str(error))
        return answer

    async def listen(self) -> None:
        """Hand out answers until the connection ends."""
        try:
            while line := await self._reader.readline():
                self._hear(line)
        except (OSError, ValueError) as error:
            _log.warning("the host agent's connection broke: %s", error)
        finally:
            self.close()

    def _hear(self, line: bytes) -> None:
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("the agent sent something other than an object")
        future = self._waiting.get(answer.get("id", 0))
        if future is not None and not future.done():
            future.set_result(answer)

    def close(self) -> None:
        """Drop the connection; who waits learns of it."""
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the host agent went away"))


class HostLink:
    """Serves the unix socket at `path`; satisfies `networks.HostPorts`."""

    def __init__(self, path: Path, patience: float = _PATIENCE) -> None:
        self.path = path
        self._patience = patience
        self._server: asyncio.Server | None = None
        self._agent: _Agent | None = None
        self._connected = asyncio.Event()
        self._in_force: dict[Port, int] = {}
        self._closing: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Listen; returns once agents can connect."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=_LINE)
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening and drop the agent. Closing twice is safe."""
        if self._server is None:
            return
        self._server.close()
        if self._agent is not None:
            self._agent.close()
        self._server = None
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agent = _Agent(reader, writer)
        if self._agent is not None:
            self._agent.close()
        self._agent = agent
        agent.tell({"op": "reset"})
        again = asyncio.get_running_loop().create_task(self._again(agent))
        self._connected.set()
        try:
            await agent.listen()
        finally:
            again.cancel()
            if self._agent is agent:
                self._agent = None
                self._connected.clear()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _again(self, agent: _Agent) -> None:
        """Ask a new agent for the ports that are in force."""
        for port, guest_port in list(self._in_force.items()):
            try:
                await agent.ask({"op": "publish", **port.to_wire(), "guest_port": guest_port})
            except HostRefused as error:
                _log.warning("port %s is no longer published: %s", port.host_port, error)
            except (OSError, TimeoutError) as error:
                _log.warning("the host agent went away: %s", error)
                return

    async def _wait_for_agent(self) -> _Agent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), self._patience)
        if self._agent is None:
            raise HostRefused(
                "the port can't be opened on your machine: the desktop that opens it is not "
                "connected to the engine. See `cove status`; `cove restart` connects it again"
            )
        return self._agent

    async def publish(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> int:
        """Open the port on the user's machine (0: any) and return it. Raises HostRefused."""
        agent = await self._wait_for_agent()
        if closing := self._closing.get((protocol, host_port)):
            await asyncio.wait([closing])
        port = Port(protocol, host_ip, host_port)
        try:
            answer = await agent.ask({"op": "publish", **port.to_wire(), "guest_port": guest_port})
        except (OSError, TimeoutError) as error:
            raise HostRefused(
                "the port can't be opened on your machine: the desktop did not answer "
                f"({error or 'time-out'})"
            ) from error
        number = answer.get("host_port") or host_port
        if not isinstance(number, int):
            raise HostRefused("the desktop answered without a port number")
        self.adopt(protocol, host_ip, number, guest_port)
        return number

    def adopt(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> None:
        """The port is in force: each agent that connects is asked for it."""
        self._in_force[Port(protocol, host_ip, host_port)] = guest_port

    def withdraw(self, protocol: str, host_ip: str, host_port: int) -> None:
        """Close the port on the user's machine in the background, before a new `publish` of it.

        Never fails: an agent that connects later drops it anyhow.
        """
        port = Port(protocol, host_ip, host_port)
        agent = self._agent
        if self._in_force.pop(port, None) is None or agent is None:
            return
        task = asyncio.get_running_loop().create_task(self._withdraw(agent, port))
        number = (protocol, host_port)
        self._closing[number] = task
        task.add_done_callback(lambda done: self._closed(number, done))

    def _closed(self, number: tuple[str, int], task: asyncio.Task[None]) -> None:
        if self._closing.get(number) is task:
            del self._closing[number]

    async def _withdraw(self, agent: _Agent, port: Port) -> None:
        try:
            await agent.ask({"op": "withdraw", **port.to_wire()})
        except (EngineError, OSError, TimeoutError) as error:
            _log.warning("port %s was not closed on the user's machine: %s", port.host_port, error)
