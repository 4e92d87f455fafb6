"""Published ports: which are taken, and holding them against other programs of the machine.

Each published port is held by a socket bound to it. Packets never reach that socket (the firewall
sends them on before); it keeps the number from being given to someone else.
"""

import contextlib
import errno
import ipaddress
import os
import socket

from engine.errors import EngineError
from engine.values import dataclass

_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class PortTaken(EngineError):
    """Another container, or another program, has the port."""


class BindFailed(PortTaken):
    """The machine refuses the port: `reason` says why, `where` is `address:port`."""

    def __init__(self, where: str, protocol: str, reason: str) -> None:
        super().__init__(f"failed to bind host port {where}/{protocol}: {reason}")
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Key:
    protocol: str
    host_ip: str
    port: int

    def clashes(self, other: "_Key") -> bool:
        if (self.protocol, self.port) != (other.protocol, other.port):
            return False
        one, two = ipaddress.ip_address(self.host_ip), ipaddress.ip_address(other.host_ip)
        if one.version != two.version:
            return False
        return one == two or one.is_unspecified or two.is_unspecified


class Ports:
    """The ports that this engine holds; without `bind`, ports of another machine: only listed."""

    def __init__(self, *, bind: bool = True) -> None:
        self._hold = _hold if bind else _note
        self._held: dict[_Key, socket.socket | None] = {}
        self._by_number: dict[int, list[_Key]] = {}
        self._next = 0

    def take(self, protocol: str, host_ip: str, first: int, last: int) -> int:
        """Hold the first free port of first..last; first 0: any. Raises PortTaken."""
        if first:
            return self._take_range(protocol, host_ip, first, max(first, last))
        start, end = _ephemeral_range()
        count = end - start + 1
        for step in range(count):
            port = start + (self._next + step) % count
            with contextlib.suppress(PortTaken):
                self._take_one(protocol, host_ip, port)
                self._next = (port - start + 1) % count
                return port
        raise PortTaken("all ports are allocated")

    def _take_range(self, protocol: str, host_ip: str, first: int, last: int) -> int:
        for port in range(first, last):
            with contextlib.suppress(PortTaken):
                return self._take_one(protocol, host_ip, port)
        return self._take_one(protocol, host_ip, last)

    def _take_one(self, protocol: str, host_ip: str, port: int) -> int:
        key = _Key(protocol, host_ip, port)
        if any(key.clashes(other) for other in self._by_number.get(port, ())):
            where = f"[{host_ip}]" if ":" in host_ip else host_ip
            raise PortTaken(f"Bind for {where}:{port} failed: port is already allocated")
        self._held[key] = self._hold(key)
        self._by_number.setdefault(port, []).append(key)
        return port

    def adopt(self, protocol: str, host_ip: str, port: int) -> None:
        """Hold a port that a running container has; without a socket when that can't be."""
        key = _Key(protocol, host_ip, port)
        try:
            self._held[key] = self._hold(key)
        except PortTaken:
            self._held[key] = None
        self._by_number.setdefault(port, []).append(key)

    def release(self, protocol: str, host_ip: str, port: int) -> None:
        """Let go; twice is safe."""
        key = _Key(protocol, host_ip, port)
        if key not in self._held:
            return
        holder = self._held.pop(key)
        if holder is not None:
            holder.close()
        self._by_number[port].remove(key)
        if not self._by_number[port]:
            del self._by_number[port]

    def close(self) -> None:
        """Let go of all."""
        for key in list(self._held):
            self.release(key.protocol, key.host_ip, key.port)


def _note(key: _Key) -> socket.socket | None:
    return None


def _hold(key: _Key) -> socket.socket | None:
    if key.protocol not in _KINDS:
        return None
    family = socket.AF_INET6 if ":" in key.host_ip else socket.AF_INET
    holder = socket.socket(family, _KINDS[key.protocol] | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind(holder, key)
    except OSError as error:
        holder.close()
        where = f"[{key.host_ip}]" if ":" in key.host_ip else key.host_ip
        reason = os.strerror(error.errno or 0).lower()
        raise BindFailed(f"{where}:{key.port}", key.protocol, reason) from error
    return holder


def _bind(holder: socket.socket, key: _Key) -> None:
    try:
        holder.bind((key.host_ip, key.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or key.protocol != "tcp":
            raise
        # Connections of an earlier server may still linger. Bound for reuse the port would be
        # open to every server that does the same, unless this one listens.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((key.host_ip, key.port))
        holder.listen(1)


def _ephemeral_range() -> tuple[int, int]:
    try:
        with open(_EPHEMERAL, encoding="ascii") as file:
            start, end = file.read().split()
        return int(start), int(end)
    except (OSError, ValueError):
        return 32768, 60999
