"""Sandboxes of running containers: opened whole or not at all, closed, taken up again."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError
from engine.linux import namespaces
from engine.networks import dns, plumbing, resolver
from engine.networks.bridges import Bridges, rules_of
from engine.networks.endpoints import Endpoints, names_of
from engine.networks.firewall import Firewall
from engine.networks.identity import Identity
from engine.networks.network import Network
from engine.networks.opened import Opened
from engine.networks.publishing import Publisher
from engine.networks.reaper import Reaper
from engine.networks.records import (
    Binding,
    Endpoint,
    PortRequest,
    Sandbox,
    SandboxRequest,
)
from engine.networks.resolving import Resolving, open_here, open_in
from engine.networks.store import Store

_log = logging.getLogger(__name__)
_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


class Sandboxes:
    """The sandboxes of one engine, by container id."""

    def __init__(
        self,
        run: Path,
        identity: Identity,
        store: Store,
        bridges: Bridges,
        firewall: Firewall,
        publisher: Publisher,
    ) -> None:
        self.resolving = Resolving(store)
        self.endpoints = Endpoints(identity, store, bridges)
        self._locks: dict[str, asyncio.Lock] = {}
        self._folder = run / "netns"
        self._identity = identity
        self._store = store
        self._bridges = bridges
        self._firewall = firewall
        self._publisher = publisher
        self._opened: dict[str, Opened] = {}
        self._reaper = Reaper(bridges)

    def get(self, container_id: str) -> Opened | None:
        """The open sandbox of a container, or None."""
        return self._opened.get(container_id)

    def all(self) -> Iterator[Opened]:
        """All open sandboxes."""
        return iter(list(self._opened.values()))

    async def open(self, request: SandboxRequest) -> Sandbox:
        """Make a sandbox. Raises EngineError and leaves nothing behind when it can't be made.

        A caller that is cancelled must `close`, which waits for what is under way.
        """
        work = asyncio.get_running_loop().create_task(self._open(request))
        work.add_done_callback(_noted)
        return await asyncio.shield(work)

    @contextlib.asynccontextmanager
    async def _turn(self, container_id: str) -> AsyncIterator[None]:
        """One change at a time for a container."""
        lock = self._locks.setdefault(container_id, asyncio.Lock())
        async with lock:
            yield
        if container_id not in self._opened and not lock.locked():
            self._locks.pop(container_id, None)

    async def _open(self, request: SandboxRequest) -> Sandbox:
        async with self._turn(request.container_id):
            if request.container_id in self._opened:
                await self._close(request.container_id)
            networks = {name: self._store.resolve(name) for name in request.endpoints}
            if any(network.driver == "host" for network in networks.values()):
                sandbox = self._of_host(networks)
                self._opened[request.container_id] = Opened(request, sandbox)
            else:
                sandbox = await self._make(request, networks)
        return sandbox

    def _of_host(self, networks: Mapping[str, Network]) -> Sandbox:
        endpoints = {n.name: Endpoint(os.urandom(32).hex(), n.id) for n in networks.values()}
        return Sandbox(None, endpoints, resolv_conf=resolver.host_resolv_conf())

    async def _make(self, request: SandboxRequest, networks: Mapping[str, Network]) -> Sandbox:
        async with contextlib.AsyncExitStack() as undo:
            endpoints: dict[str, Endpoint] = {}
            for name, config in request.endpoints.items():
                network = networks[name]
                endpoint = self.endpoints.plan(request, network, config, f"eth{len(endpoints)}")
                undo.callback(self.endpoints.release, network, endpoint)
                endpoints[network.name] = endpoint
            way_out = self.endpoints.way_out(request, endpoints)
            bindings = await self._take_ports(request, endpoints, way_out)
            undo.callback(self._publisher.give_back, bindings)
            path = self._folder / request.container_id
            resolv_conf = self.resolving.resolv_conf(endpoints)
            sandbox = Sandbox(path, endpoints, bindings, resolv_conf)
            try:
                inode, sockets = await namespaces.in_thread(
                    lambda: self._build(request, sandbox, way_out)
                )
            except OSError as error:
                raise EngineError(f"can't make interfaces: {error.strerror or error}") from error
            undo.pop_all()
        opened = Opened(request, replace(sandbox, netns_inode=inode))
        self._opened[request.container_id] = opened
        if sockets:
            self.resolving.started(opened, sockets)
        return opened.sandbox

    async def _take_ports(
        self, request: SandboxRequest, endpoints: Mapping[str, Endpoint], way_out: str
    ) -> tuple[Binding, ...]:
        if not way_out:
            return ()
        endpoint = endpoints[way_out]
        network = self._store.resolve(endpoint.network_id)
        default = network.options.get(_HOST_BINDING) or "0.0.0.0"
        try:
            return await self._publisher.take(_requests(request), endpoint, default)
        except EngineError as error:
            error.message = (
                "driver failed programming external connectivity on endpoint "
                f"{request.name} ({endpoint.id}): {error.message}"
            )
            raise

    def _build(
        self, request: SandboxRequest, sandbox: Sandbox, way_out: str
    ) -> tuple[int, dns.Sockets | None]:
        """In a thread of its own: namespace, interfaces, then the ports and the resolver."""
        assert sandbox.netns is not None
        wires = [
            self.endpoints.wire(self._store.resolve(one.network_id), one, name == way_out)
            for name, one in sandbox.endpoints.items()
            if one.host_link
        ]
        group = self._identity.group
        inode = plumbing.build(
            self._bridges.channel, sandbox.netns, wires, group, request.namespace
        )
        try:
            self._publish(sandbox)
            named = self.resolving.wanted(sandbox.endpoints)
            return inode, open_here(request) if named else None
        except BaseException:
            namespaces.remove_netns(sandbox.netns)
            raise

    def _publish(self, sandbox: Sandbox) -> None:
        if not self._firewall.standing():
            self.rebuild_rules()
        self._firewall.publish(self._publisher.in_force(sandbox.bindings))

    def rebuild_rules(self) -> None:
        """Make the whole table again, as the records have it."""
        rules = [rules_of(one) for one in self._store.all() if one.bridge]
        bindings = [one for opened in self.all() for one in opened.sandbox.bindings]
        self._firewall.rebuild(rules, self._publisher.in_force(bindings))

    def members(self, network: Network) -> Iterator[tuple[Opened, Endpoint]]:
        """The open sandboxes that are in a network."""
        for opened in self.all():
            for endpoint in opened.sandbox.endpoints.values():
                if endpoint.network_id == network.id:
                    yield opened, endpoint

    async def settle(self, opened: Opened, endpoints: Mapping[str, Endpoint]) -> None:
        """Endpoints of a running container have changed: its published ports follow."""
        way_out = self.endpoints.way_out(opened.request, endpoints)
        before = replace(opened.sandbox, resolv_conf=self.resolving.resolv_conf(endpoints))
        addresses = {a for one in endpoints.values() for a in (one.ipv4, one.ipv6)}
        if all(binding.container_ip in addresses for binding in before.bindings) and (
            before.bindings or not way_out
        ):
            opened.sandbox = replace(before, endpoints=endpoints)
            self.resolving.changed(opened)
            return
        gone = self._publisher.in_force(before.bindings)
        await asyncio.to_thread(self._firewall.withdraw, gone)
        self._publisher.give_back(before.bindings)
        opened.sandbox = replace(before, endpoints=endpoints, bindings=())
        self.resolving.changed(opened)
        bindings = await self._take_ports(opened.request, endpoints, way_out)
        opened.sandbox = replace(opened.sandbox, bindings=bindings)
        await asyncio.to_thread(self._publish, opened.sandbox)

    def rename(self, container_id: str, name: str) -> None:
        """The container's new name counts from now on."""
        opened = self._opened.get(container_id)
        if opened is None:
            return
        opened.request = replace(opened.request, name=name)
        configs = {self._store.resolve(n).name: c for n, c in opened.request.endpoints.items()}
        endpoints = {
            network: replace(one, names=names_of(opened.request, configs[network]))
            for network, one in opened.sandbox.endpoints.items()
        }
        opened.sandbox = replace(opened.sandbox, endpoints=endpoints)
        self.resolving.changed(opened)

    async def close(self, container_id: str) -> Opened | None:
        """Take a sandbox apart; returns what it was, None when there was none."""
        async with self._turn(container_id):
            return await self._close(container_id)

    async def _close(self, container_id: str) -> Opened | None:
        opened = self._opened.pop(container_id, None)
        self.resolving.stopped(container_id)
        if opened is None or opened.sandbox.netns is None:
            return opened
        await asyncio.to_thread(self._take_apart, opened.sandbox)
        self._reaper.add(opened.sandbox)
        self._publisher.give_back(opened.sandbox.bindings)
        for endpoint in opened.sandbox.endpoints.values():
            with contextlib.suppress(EngineError):
                self.endpoints.release(self._store.resolve(endpoint.network_id), endpoint)
        return opened

    async def stop(self) -> None:
        """Let go of sockets; what is open stays. When nothing is, bridges and rules go too."""
        await self._reaper.stop()
        if not self._opened:
            await asyncio.to_thread(self._leave_nothing)
        self.resolving.close()
        self._publisher.stop()
        self._firewall.close()
        self._bridges.close()

    def _leave_nothing(self) -> None:
        try:
            self._bridges.sweep(frozenset())
            self._firewall.remove()
        except OSError as error:
            _log.warning("the engine's bridges are not all gone: %s", error)

    def _take_apart(self, sandbox: Sandbox) -> None:
        assert sandbox.netns is not None
        try:
            self._firewall.withdraw(self._publisher.in_force(sandbox.bindings))
            namespaces.remove_netns(sandbox.netns)
        except OSError as error:
            _log.error("network of %s is not all gone: %s", sandbox.netns.name[:12], error)

    async def restore(self, live: Sequence[tuple[SandboxRequest, Sandbox]]) -> None:
        """Take up the sandboxes that still live; sweep what no record knows."""
        for request, sandbox in live:
            self._opened[request.container_id] = Opened(request, sandbox)
            for endpoint in sandbox.endpoints.values():
                with contextlib.suppress(EngineError):
                    spaces = self._store.spaces(self._store.resolve(endpoint.network_id))
                    for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                        spaces.adopt(address)
            self._publisher.adopt(sandbox.bindings)
        await asyncio.to_thread(self._restore)
        named = {o.request.container_id: o for o in self.all()}
        wanted = [
            (opened.request, opened.sandbox.netns)
            for opened in named.values()
            if opened.sandbox.netns and self.resolving.wanted(opened.sandbox.endpoints)
        ]
        if wanted:
            found = await namespaces.in_thread(lambda: open_in(wanted))
            for container_id, sockets in found.items():
                self.resolving.started(named[container_id], sockets)

    def _restore(self) -> None:
        for tag in self._bridges.abandoned():
            _log.info("removed the bridges of an engine whose root is gone (%s)", tag)
            self._firewall.remove(f"cove-{tag}")
        kept = {one.bridge for one in self._store.all() if one.bridge}
        for opened in self.all():
            kept |= {one.host_link for one in opened.sandbox.endpoints.values() if one.host_link}
        for name in self._bridges.sweep(frozenset(kept)):
            _log.info("removed interface %s that an earlier run left", name)
        for network in self._store.all():
            if network.bridge:
                self._bridges.ensure(network)
        self.rebuild_rules()
        for chain in self._firewall.obstacles():
            _log.warning(
                "the nftables chain %s drops what is forwarded: containers may not reach the "
                "outside, and others not their published ports. Accept %s there",
                chain,
                self._store.named("bridge")[0].bridge,
            )
        self._bind_again()

    def _bind_again(self) -> None:
        wanted = {o.sandbox.netns: o.sandbox.netns_inode for o in self.all() if o.sandbox.netns}
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if path not in wanted:
                namespaces.remove_netns(path)
        missing = {p: inode for p, inode in wanted.items() if namespaces.inode_at(p) != inode}
        holders = namespaces.netns_holders() if missing else {}
        for path, inode in missing.items():
            if inode in holders:
                namespaces.bind_process(holders[inode], path)


def _noted(work: asyncio.Task[Sandbox]) -> None:
    """A failure that nobody waits for any more has been undone: it needs no report."""
    if not work.cancelled():
        work.exception()


def _requests(request: SandboxRequest) -> Iterable[PortRequest]:
    yield from request.ports
    asked = {port.key for port in request.ports}
    for key in request.publish_all_exposed:
        if key not in asked:
            number, _, protocol = key.partition("/")
            yield PortRequest(int(number), protocol or "tcp")
