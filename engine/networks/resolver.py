"""The resolv.conf that containers get, made from the machine's (resolv.conf(5))."""

import ipaddress
from pathlib import Path

from engine.values import dataclass

# Where systemd-resolved tells the servers that it asks itself.
_UPSTREAM = Path("/run/systemd/resolve/resolv.conf")
_MACHINE = Path("/etc/resolv.conf")
_FALLBACK = ("8.8.8.8", "8.8.4.4")
EMBEDDED = "127.0.0.11"


@dataclass(frozen=True)
class Resolver:
    """Name servers, search domains and options."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def render(self) -> str:
        """The file's text."""
        lines = [f"nameserver {server}" for server in self.servers]
        if self.search:
            lines.append(f"search {' '.join(self.search)}")
        if self.options:
            lines.append(f"options {' '.join(self.options)}")
        return "\n".join(lines) + "\n" if lines else ""


def parse(text: str) -> Resolver:
    """What a resolv.conf says; lines that it should not hold are passed over."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        word, *rest = line.split("#")[0].split(";")[0].split() or [""]
        if word == "nameserver" and rest:
            servers.append(rest[0])
        elif word in ("search", "domain"):
            search = tuple(rest)
        elif word == "options":
            options += rest
    return Resolver(tuple(servers), search, tuple(options))


def machine_resolver(machine: Path = _MACHINE, upstream: Path = _UPSTREAM) -> Resolver:
    """The machine's servers that a container can reach: loopback ones mean nothing there.

    When only those are left, the ones that systemd-resolved asks; without any, public ones (as
    Docker does).
    """
    own = parse(_read(machine))
    servers = _reachable(own.servers) or _reachable(parse(_read(upstream)).servers) or _FALLBACK
    return Resolver(servers, tuple(one for one in own.search if one != "."), own.options)


def machine_servers(machine: Path = _MACHINE) -> tuple[str, ...]:
    """The servers that the machine itself asks, loopback ones too; public ones without any."""
    return parse(_read(machine)).servers or _FALLBACK


def host_resolv_conf() -> str:
    """The machine's own file, for containers in its network."""
    return _read(_MACHINE)


def embedded_resolver(machine: Resolver) -> Resolver:
    """The file for containers of user networks, whose names the engine answers."""
    options = tuple(one for one in machine.options if not one.startswith("ndots:"))
    return Resolver((EMBEDDED,), machine.search, (*options, "ndots:0"))


def _reachable(servers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(server for server in servers if not _is_loopback(server))


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
