"""The three files that the engine writes for each container: hosts, hostname, resolv.conf."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadRequest

_LOCAL = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


_EMBEDDED = "127.0.0.11"


def host_entries(extra: Sequence[str], gateway: str) -> list[tuple[str, str]]:
    """(address, name) of each --add-host; `host-gateway` is the machine as containers see it."""
    found = []
    for entry in extra:
        separator = "=" if "=" in entry.partition(":")[0] else ":"
        name, _, address = entry.partition(separator)
        if address == "host-gateway":
            if not gateway:
                raise BadRequest(
                    "unable to derive the IP value for host-gateway: the container has no gateway"
                )
            address = gateway
        address = address.strip("[]")
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise BadRequest(f'invalid IP address in add-host: "{address}"') from error
        found.append((address, name))
    return found


def hosts_text(
    addresses: Sequence[str],
    hostname: str,
    domain: str,
    extra: Sequence[tuple[str, str]],
) -> str:
    """/etc/hosts: the fixed part, --add-host and links, then the container's own addresses."""
    names = f"{hostname}.{domain} {hostname}" if domain else hostname
    lines = [f"{address}\t{name}\n" for address, name in extra]
    lines += [f"{address}\t{names}\n" for address in addresses if names]
    return _LOCAL + "".join(lines)


def _fields(text: str, key: str) -> list[str]:
    lines = (line.split() for line in text.splitlines())
    return [word for line in lines if line and line[0] == key for word in line[1:]]


def resolv_text(base: str, host: Mapping[str, Any]) -> str:
    """/etc/resolv.conf: what the network gives, changed by --dns, --dns-search, --dns-option.

    In user networks the network's own resolver answers and forwards to --dns itself.
    """
    servers = _fields(base, "nameserver")
    if host.get("Dns") and _EMBEDDED not in servers:
        servers = list(host["Dns"])
    search = list(host.get("DnsSearch") or []) or _fields(base, "search")
    if search == ["."]:
        search = []
    options = list(host.get("DnsOptions") or []) or _fields(base, "options")
    lines = [f"nameserver {server}\n" for server in servers]
    if search:
        lines.append(f"search {' '.join(search)}\n")
    if options:
        lines.append(f"options {' '.join(options)}\n")
    return "".join(lines)


def write_in_place(path: Path, text: str) -> None:
    """Write without replacing the file: it may be bind-mounted into a running container."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
