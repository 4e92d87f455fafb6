"""The networks of the engine, and the sandboxes of its running containers."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import BadRequest, EngineError
from engine.networks.bridges import Bridges, write_sysctl
from engine.networks.firewall import Firewall
from engine.networks.identity import Identity
from engine.networks.network import Network
from engine.networks.ports import Ports
from engine.networks.publishing import HostPorts, Publisher
from engine.networks.records import Endpoint, EndpointConfig, Sandbox, SandboxRequest
from engine.networks.sandboxes import Sandboxes
from engine.networks.store import Database, Store


class Events(Protocol):
    """Where changes are told; `events.Events` satisfies it."""

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] = ...
    ) -> object: ...


class Controller:
    """Life cycle: `restore` once with what still runs, then `open` and `close` for containers."""

    def __init__(self, root: Path, run: Path, database: Database, events: Events) -> None:
        self._run = run
        self._events = events
        self._identity = Identity.of(root)
        self._store = Store(database, self._identity)
        self._publisher = Publisher(Ports())
        self._bridges: Bridges | None = None
        self._sandboxes: Sandboxes | None = None
        self._changing = asyncio.Lock()

    @property
    def host(self) -> HostPorts | None:
        """The desktop that opens ports on the user's machine; None: this is the user's machine."""
        return self._publisher.host

    @host.setter
    def host(self, host: HostPorts | None) -> None:
        self._publisher.host = host

    @property
    def _open(self) -> Sandboxes:
        if self._sandboxes is None:
            raise EngineError("the networks are not up yet")
        return self._sandboxes

    async def restore(self, live: Sequence[tuple[SandboxRequest, Sandbox]]) -> None:
        """Take up what an earlier engine left: re-own what lives, sweep the rest."""
        self._bridges = Bridges(self._identity)
        await self._store.start(self._bridges)
        bridge = self._store.named("bridge")[0].bridge
        firewall = Firewall(self._identity.table(bridge))
        self._sandboxes = Sandboxes(
            self._run, self._identity, self._store, self._bridges, firewall, self._publisher
        )
        write_sysctl("ipv4/ip_forward", "1")
        await self._sandboxes.restore(live)

    def resolve(self, name_or_id: str) -> Network:
        """The network by name, id or unambiguous prefix of an id."""
        return self._store.resolve(name_or_id)

    async def open(self, request: SandboxRequest) -> Sandbox:
        """Make a container's network; undoes everything when it fails."""
        sandbox = await self._open.open(request)
        for name, endpoint in sandbox.endpoints.items():
            self._tell("connect", name, endpoint, request.container_id)
        return sandbox

    async def close(self, container_id: str) -> None:
        """Take a container's network away; closing twice is safe."""
        opened = await self._open.close(container_id)
        if opened is None:
            return
        for name, endpoint in opened.sandbox.endpoints.items():
            self._tell("disconnect", name, endpoint, container_id)

    def _tell(self, action: str, name: str, endpoint: Endpoint, container_id: str) -> None:
        try:
            driver = self._store.resolve(endpoint.network_id).driver
        except EngineError:
            driver = "bridge"
        attributes = {"container": container_id, "name": name, "type": driver}
        self._events.publish("network", action, endpoint.network_id, attributes)

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The open sandbox of a container as it stands now (ports, endpoints), or None."""
        opened = self._open.get(container_id)
        return opened.sandbox if opened else None

    def rename(self, container_id: str, name: str) -> None:
        """The container has a new name (no leading slash)."""
        self._open.rename(container_id, name)

    async def connect(
        self, container_id: str, network: str, settings: EndpointConfig, live: bool
    ) -> Sandbox | None:
        """Join a network; a live container gets the interface now and the new Sandbox is returned.

        A container that isn't live only has the settings checked against the network.
        """
        found = self._store.resolve(network)
        if found.driver != "bridge":
            raise BadRequest(f"a container can't be connected to the network {found.name}")
        return None

    async def disconnect(self, container_id: str, network: str) -> Sandbox | None:
        """Leave a network; returns the new Sandbox of a live container, else None."""
        return None
