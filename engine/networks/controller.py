"""The networks of the engine, and the sandboxes of its running containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.errors import NotFound, Unavailable
from engine.networks.network import Network
from engine.networks.records import EndpointConfig, Sandbox, SandboxRequest


class HostPorts(Protocol):
    """The desktop's side of published ports; `hostlink.HostLink` satisfies it."""

    async def publish(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> int:
        """Open the port on the user's machine and return it; an EngineError says why not."""
        ...

    async def withdraw(self, protocol: str, host_ip: str, host_port: int) -> None:
        """Close the port on the user's machine; never fails."""
        ...


class Database(Protocol):
    """Where records last; `database.Database` satisfies it."""

    def load(self, kind: str) -> dict[str, Any]: ...
    async def put(self, kind: str, key: str, record: Any, durable: bool = True) -> None: ...
    async def delete(self, kind: str, key: str, durable: bool = True) -> None: ...


class Events(Protocol):
    """Where changes are told; `events.Events` satisfies it."""

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] = ...
    ) -> object: ...


class Controller:
    """Life cycle: `start()` once, `restore()` with what still runs, then `open`/`close`."""

    def __init__(self, root: Path, run: Path, database: Database, events: Events) -> None:
        self.host: HostPorts | None = None
        self._root, self._run = root, run
        self._database, self._events = database, events

    async def restore(self, live: Sequence[tuple[SandboxRequest, Sandbox]]) -> None:
        """Take up what an earlier engine left: re-own what lives, sweep the rest."""

    def resolve(self, name_or_id: str) -> Network:
        """The network by name, id or unambiguous prefix of an id."""
        raise NotFound(f"network {name_or_id} not found")

    async def open(self, request: SandboxRequest) -> Sandbox:
        """Make a container's network; undoes everything when it fails."""
        raise Unavailable("networks are not up yet")

    async def close(self, container_id: str) -> None:
        """Take a container's network away; closing twice is safe."""

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The open sandbox of a container as it stands now (ports, endpoints), or None."""
        return None

    def rename(self, container_id: str, name: str) -> None:
        """The container has a new name (no leading slash)."""

    async def connect(
        self, container_id: str, network: str, settings: EndpointConfig, live: bool
    ) -> Sandbox | None:
        """Join a network; a live container gets the interface now and the new Sandbox is returned.

        A container that isn't live only has the settings checked against the network.
        """
        return None

    async def disconnect(self, container_id: str, network: str) -> Sandbox | None:
        """Leave a network; returns the new Sandbox of a live container, else None."""
        return None
