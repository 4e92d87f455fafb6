"""Published ports of a container: held, asked from the user's machine, given back."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from engine.errors import BadRequest, EngineError
from engine.hostlink import AddressAbsent
from engine.networks.ports import BindFailed, Ports, PortTaken
from engine.networks.records import Binding, Endpoint, PortRequest

# how often another number is tried when one is free on the first address only
_ATTEMPTS = 16
_ANY = ("0.0.0.0", "::")


class HostPorts(Protocol):
    """The desktop's side of published ports; `hostlink.HostLink` satisfies it."""

    async def publish(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> int:
        """Open the port on the user's machine and return it; an EngineError says why not."""
        ...

    def withdraw(self, protocol: str, host_ip: str, host_port: int) -> None:
        """Close the port on the user's machine, before it is published again."""
        ...

    def adopt(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> None:
        """The port is in force since before the engine started."""
        ...


class Publisher:
    """Takes and gives back the published ports of containers."""

    def __init__(self, ports: Ports) -> None:
        self.host: HostPorts | None = None
        self._ports = ports
        # what the user's machine has opened for us
        self._promised = Ports(bind=False)

    async def take(
        self, requests: Iterable[PortRequest], endpoint: Endpoint, default_ip: str
    ) -> tuple[Binding, ...]:
        """Hold all ports, or none: EngineError says which one failed and why."""
        taken: list[Binding] = []
        try:
            for request in requests:
                taken += await self._take_request(request, endpoint, default_ip)
        except BaseException:
            self.give_back(taken)
            raise
        return tuple(taken)

    async def _take_request(
        self, request: PortRequest, endpoint: Endpoint, default_ip: str
    ) -> list[Binding]:
        """One request, on all its addresses with the same number."""
        relayed = self.host is not None
        first, *others = _addresses(request, endpoint, default_ip, relayed=relayed)
        for left in reversed(range(_ATTEMPTS)):
            taken = [await self._take_one(request, *first)]
            number = taken[0].host_port
            same = replace(request, host_port_start=number, host_port_end=number)
            try:
                for pair in others:
                    taken += await self._take_further(same, *pair)
            except BaseException as error:
                self.give_back(taken)
                fixed = request.host_port_start and request.host_port_end <= number
                if fixed or not left or not isinstance(error, EngineError):
                    raise
                if request.host_port_start:
                    request = replace(request, host_port_start=number + 1)
            else:
                return taken
        raise AssertionError("the last attempt raises")

    async def _take_further(self, request: PortRequest, host_ip: str, target: str) -> list[Binding]:
        """On an address that nobody asked for: a user's machine may do without it."""
        try:
            return [await self._take_one(request, host_ip, target)]
        except AddressAbsent:
            return []

    async def _take_one(self, request: PortRequest, host_ip: str, target: str) -> Binding:
        first, last = request.host_port_start, request.host_port_end
        if self.host is None:
            try:
                port = self._ports.take(request.protocol, host_ip, first, last)
            except BindFailed as error:
                inside = f"[{target}]" if ":" in target else target
                error.message = (
                    f"failed to bind host port for {error.where}:{inside}:{request.key}: "
                    f"{error.reason}"
                )
                raise
            return _binding(request, host_ip, port, port, target)
        return await self._take_of_host(self.host, request, host_ip, target)

    async def _take_of_host(
        self, host: HostPorts, request: PortRequest, host_ip: str, target: str
    ) -> Binding:
        """In a VM the number has to be free on the user's machine; here any will do."""
        first, last = request.host_port_start, request.host_port_end
        any_ip = "::" if ":" in target else "0.0.0.0"
        guest = self._guest_port(request.protocol, any_ip, first)
        failure: EngineError | None = None
        try:
            for wanted in range(first, max(first, last) + 1):
                try:
                    port = await self._publish(host, request.protocol, host_ip, wanted, guest)
                    return _binding(request, host_ip, port, guest, target)
                except EngineError as error:
                    failure = error
            raise failure or EngineError("no port to publish")
        except BaseException:
            self._ports.release(request.protocol, any_ip, guest)
            raise

    async def _publish(
        self, host: HostPorts, protocol: str, host_ip: str, wanted: int, guest: int
    ) -> int:
        """Ask the user's machine, unless another container has the port: that is told better."""
        if wanted:
            self._promised.take(protocol, host_ip, wanted, wanted)
        try:
            port = await host.publish(protocol, host_ip, wanted, guest)
        except BaseException:
            self._promised.release(protocol, host_ip, wanted)
            raise
        if not wanted:
            self._promised.adopt(protocol, host_ip, port)
        return port

    def _guest_port(self, protocol: str, any_ip: str, wanted: int) -> int:
        try:
            return self._ports.take(protocol, any_ip, wanted, wanted)
        except PortTaken:
            return self._ports.take(protocol, any_ip, 0, 0)

    def give_back(self, bindings: Sequence[Binding]) -> None:
        """Let go of ports; twice is safe."""
        for one in bindings:
            self._ports.release(one.protocol, self.listening_ip(one), one.guest_port)
            if self.host is not None:
                self._promised.release(one.protocol, one.host_ip, one.host_port)
                self.host.withdraw(one.protocol, one.host_ip, one.host_port)

    def stop(self) -> None:
        """The engine ends: let go of the sockets that hold ports."""
        self._ports.close()

    def adopt(self, bindings: Sequence[Binding]) -> None:
        """Hold the ports of a container that an earlier engine started."""
        for one in bindings:
            self._ports.adopt(one.protocol, self.listening_ip(one), one.guest_port)
            if self.host is not None:
                self._promised.adopt(one.protocol, one.host_ip, one.host_port)
                self.host.adopt(one.protocol, one.host_ip, one.host_port, one.guest_port)

    def listening_ip(self, binding: Binding) -> str:
        """The address on the engine's machine that the port is taken on."""
        if self.host is None:
            return binding.host_ip
        return "::" if ":" in binding.container_ip else "0.0.0.0"

    def in_force(self, bindings: Iterable[Binding]) -> list[Binding]:
        """The bindings as the firewall needs them: with the address on the engine's machine."""
        return [replace(one, host_ip=self.listening_ip(one)) for one in bindings]


def _binding(
    request: PortRequest, host_ip: str, host_port: int, guest_port: int, target: str
) -> Binding:
    return Binding(
        container_port=request.container_port,
        protocol=request.protocol,
        host_ip=host_ip,
        host_port=host_port,
        guest_port=guest_port,
        container_ip=target,
    )


def _addresses(
    request: PortRequest, endpoint: Endpoint, default_ip: str, *, relayed: bool
) -> list[tuple[str, str]]:
    """Host addresses to publish on, each with the container's address that answers there.

    `relayed`: the user's machine takes connections itself, so the versions need not match.
    """
    host_ip = request.host_ip
    four, six = endpoint.ipv4, endpoint.ipv6
    if not host_ip:
        pairs = [(default_ip, four or six)] if four or relayed else []
        if default_ip in _ANY and (six or relayed):
            # in a VM the relay of the user's machine comes here by IPv4
            pairs.append(("::", (four or six) if relayed else six))
        if not pairs or not pairs[0][1]:
            raise BadRequest(f"can't publish {request.key}: the container has no address for it")
        return pairs
    try:
        version = ipaddress.ip_address(host_ip).version
    except ValueError as error:
        raise BadRequest(f"invalid IP address: {host_ip}") from error
    target = (four or six) if relayed else (four if version == 4 else six)
    if not target:
        raise BadRequest(
            f"can't publish {request.key} on {host_ip}: the container has no IPv{version} address"
        )
    return [(host_ip, target)]
