"""Which names a container hears: the records of its networks turned into the resolver's view."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from engine.errors import EngineError
from engine.linux import namespaces
from engine.networks import dns, resolver
from engine.networks.dns.forwarder import Forwarder
from engine.networks.network import Network
from engine.networks.opened import Opened
from engine.networks.records import Endpoint, SandboxRequest
from engine.networks.store import Store


class Resolving:
    """Keeps the resolvers of running containers in step with their networks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names = dns.Names()
        self._server = dns.Server(self._names, self._machine_servers, Forwarder())
        self._known: dict[str, set[str]] = {}

    def _machine_servers(self) -> Sequence[str]:
        # Asked from the machine's own network: its loopback servers are as good as others.
        return resolver.machine_servers()

    def common(self, names: Mapping[str, tuple[str, ...]]) -> None:
        """Names that containers of all user networks know."""
        self._names.common = dict(names)

    def wanted(self, endpoints: Mapping[str, Endpoint]) -> bool:
        """Whether one of the networks is a user network."""
        return any(self._zones(endpoints.values()))

    def _zones(self, endpoints: Iterable[Endpoint]) -> Iterable[tuple[Network, Endpoint]]:
        for endpoint in endpoints:
            with contextlib.suppress(EngineError):
                network = self._store.resolve(endpoint.network_id)
                if network.driver == "bridge" and not network.predefined:
                    yield network, endpoint

    def resolv_conf(self, endpoints: Mapping[str, Endpoint]) -> str:
        """The resolv.conf for a container in these networks."""
        machine = resolver.machine_resolver()
        if self.wanted(endpoints):
            return resolver.embedded_resolver(machine).render()
        return machine.render()

    def started(self, opened: Opened, sockets: dns.Sockets) -> None:
        """A container runs: answer it, and tell others its names."""
        container_id = opened.request.container_id
        self._server.serve(container_id, sockets, self._view(opened))
        self.changed(opened)

    def serves(self, container_id: str) -> bool:
        """Whether the container has a resolver."""
        return self._server.serves(container_id)

    def changed(self, opened: Opened) -> None:
        """A container has joined or left a network, or has a new name."""
        container_id = opened.request.container_id
        now = set()
        for network, endpoint in self._zones(opened.sandbox.endpoints.values()):
            now.add(network.id)
            addresses = (endpoint.ipv4, endpoint.ipv6)
            self._names.add(network.id, network.name, container_id, endpoint.names, addresses)
        for left in self._known.get(container_id, set()) - now:
            self._names.remove(left, container_id)
        self._known[container_id] = now
        self._server.see(container_id, self._view(opened))

    def stopped(self, container_id: str) -> None:
        """A container has ended; twice is safe."""
        for network_id in self._known.pop(container_id, ()):
            self._names.remove(network_id, container_id)
        self._server.stop(container_id)

    def forget(self, network: Network) -> None:
        """A network is gone."""
        self._names.forget(network.id)

    def close(self) -> None:
        """The engine ends."""
        self._server.close()

    def _view(self, opened: Opened) -> dns.View:
        links = [link for config in opened.request.endpoints.values() for link in config.links]
        endpoints = opened.sandbox.endpoints.values()
        return dns.View(
            networks=tuple(network.id for network, _ in self._zones(endpoints)),
            links=dict(_link(link) for link in links),
            servers=opened.request.dns,
            outward=any(one.gateway4 or one.gateway6 for one in endpoints),
        )


def _link(text: str) -> tuple[str, str]:
    """`container:alias` as (alias, container), both in lower case."""
    target, _, alias = text.lower().partition(":")
    target = target.lstrip("/")
    return (alias.rpartition("/")[2] or target), target


def open_here(request: SandboxRequest) -> dns.Sockets:
    """The container's resolver in the calling thread's namespace. Raises OSError."""
    if not _serves_names(request):
        return dns.open_sockets()
    sockets = dns.open_sockets(port=0)
    try:
        dns.redirect(dns.ADDRESS, sockets[0].getsockname()[1])
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


def _serves_names(request: SandboxRequest) -> bool:
    """Whether the container publishes port 53, so that it wants it for itself."""
    published = {port.container_port for port in request.ports}
    return 53 in published or bool({"53/tcp", "53/udp"} & set(request.publish_all_exposed))


def open_in(wanted: Sequence[tuple[SandboxRequest, Path]]) -> dict[str, dns.Sockets]:
    """As `open_here` in the namespaces of containers. Only for a thread that ends soon.

    Containers whose namespace is gone are left out.
    """
    found = {}
    for request, path in wanted:
        with contextlib.suppress(OSError):
            namespaces.enter(path)
            found[request.container_id] = open_here(request)
    return found
