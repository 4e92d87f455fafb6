"""Published ports: what the engine asks for becomes forwards on this computer.

IPv4 is QEMU's `hostfwd`; its refusals have one text for every cause, so the port is tried here
first, which names the cause. IPv6 goes through a relay, since QEMU knows none there.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from desktop.failure import Failure
from desktop.forward import holders
from desktop.forward.relay import TcpRelay, UdpRelay

NETWORK = "n0"
GUEST_ADDRESS = "10.0.2.15"
TRIES = 5
Monitor = Callable[[str], Awaitable[str]]
_ADDRESS = re.compile(r"[0-9a-fA-F:.]{2,45}")


@dataclass(frozen=True)
class Place:
    """An address of this computer that a port is published on."""

    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.protocol}"


@dataclass
class _Forward:
    """What serves a place: a rule of QEMU's, or a relay with a rule behind it."""

    rule: Place
    relay: TcpRelay | UdpRelay | None = None


class AddressAbsent(Failure):
    """This computer has no such address, or none of that kind."""


class Forwards:
    """The forwards in force. `monitor` runs a line of QEMU's human monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._forwards: dict[Place, _Forward] = {}
        self._turn = asyncio.Lock()

    @property
    def places(self) -> list[Place]:
        """What is published now."""
        return list(self._forwards)

    async def publish(self, protocol: str, host: str, port: int, guest_port: int) -> int:
        """Forward a port of the host to one of the guest; port 0 takes a free one.

        Answers the host's port; raises Failure naming why the place can't be had.
        """
        place = _place(protocol, host, port)
        async with self._turn:
            if port and place in self._forwards:
                raise Failure(f"Port {place} of this computer is already published.")
            for attempt in range(TRIES):
                free = await asyncio.to_thread(_try, place)
                taken = Place(place.protocol, place.host, free)
                try:
                    self._forwards[taken] = await self._open(taken, guest_port)
                except Failure:
                    # somebody else was quicker to a port of our choice: choose another
                    if port or attempt == TRIES - 1:
                        raise
                else:
                    return free
        raise AssertionError("the loop returns or raises")

    async def withdraw(self, protocol: str, host: str, port: int) -> None:
        """End a forward; one that isn't there is no error."""
        async with self._turn:
            forward = self._forwards.pop(_place(protocol, host, port), None)
            if forward is not None:
                await self._close(forward)

    async def reset(self) -> None:
        """End all of them."""
        async with self._turn:
            forwards, self._forwards = self._forwards, {}
            for forward in forwards.values():
                await self._close(forward)

    async def sweep(self) -> None:
        """Remove rules that an agent before this one added: all but the way to sshd."""
        answer = await self._monitor("info usernet")
        for protocol, host, port, guest_port in parse_rules(answer):
            if guest_port != 22:
                await self._remove(Place(protocol, host, port))

    async def _open(self, place: Place, guest_port: int) -> _Forward:
        if ":" not in place.host:
            await self._add(place, guest_port)
            return _Forward(place)
        free = await asyncio.to_thread(_try, Place(place.protocol, "127.0.0.1", 0))
        rule = Place(place.protocol, "127.0.0.1", free)
        await self._add(rule, guest_port)
        relay = TcpRelay(free) if place.protocol == "tcp" else UdpRelay(free)
        try:
            await relay.open(place.host, place.port)
        except OSError as error:
            await self._remove(rule)
            raise _refused(place, error) from error
        return _Forward(rule, relay)

    async def _close(self, forward: _Forward) -> None:
        if forward.relay is not None:
            await forward.relay.close()
        await self._remove(forward.rule)

    async def _add(self, place: Place, guest_port: int) -> None:
        rule = f"{place.protocol}:{place.host}:{place.port}-{GUEST_ADDRESS}:{guest_port}"
        answer = (await self._monitor(f"hostfwd_add {NETWORK} {rule}")).strip()
        if answer:
            raise Failure(f"{place} can't be forwarded to the VM.", f"{answer}.")

    async def _remove(self, place: Place) -> None:
        with suppress(Failure):  # QEMU has gone, and its forwards with it
            await self._monitor(
                f"hostfwd_remove {NETWORK} {place.protocol}:{place.host}:{place.port}"
            )


def parse_rules(text: str) -> list[tuple[str, str, int, int]]:
    """Protocol, host address, host port, guest port of each rule in `info usernet`."""
    found = re.findall(r"(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)\s", text)
    return [
        (protocol.lower(), "0.0.0.0" if host == "*" else host, int(port), int(guest))
        for protocol, host, port, guest in found
    ]


def _place(protocol: str, host: str, port: int) -> Place:
    """Checked, because it becomes words of a monitor's command."""
    if protocol not in ("tcp", "udp"):
        raise Failure(f"{protocol} ports can't be published.", "Only tcp and udp ports can.")
    host = host or "0.0.0.0"
    if _ADDRESS.fullmatch(host) is None:
        raise Failure(f"{host!r} is no address to publish a port on.")
    return Place(protocol, host, int(port))


def _try(place: Place) -> int:
    try:
        return holders.bind_test(place.protocol, place.host, place.port)
    except OSError as error:
        raise _refused(place, error) from error


def _refused(place: Place, error: OSError) -> Failure:
    if error.errno == errno.EADDRINUSE:
        holder = holders.find(place.protocol, place.port)
        by = f" by {holder}" if holder else ""
        return Failure(f"Port {place} of this computer is already in use{by}.")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return AddressAbsent(f"This computer has no address {place.host}.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Failure(
            f"You may not listen on port {place} of this computer.",
            "Ports below 1024 need a right that you don't have.",
        )
    return Failure(f"Port {place} of this computer can't be had: {error.strerror}.")
