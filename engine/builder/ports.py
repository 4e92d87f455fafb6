"""`EXPOSE`: what a container listens on, as the config writes it (`80/tcp`).

The forms of `docker run -p` are read too, of which only the container's side counts.
"""

import ipaddress
import re
from collections.abc import Iterable

from engine.builder.errors import DockerfileError

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_HIGHEST = 65535


def exposed(specs: Iterable[str]) -> tuple[str, ...]:
    """The ports of all specs, each once and in order. Raises DockerfileError."""
    return tuple(dict.fromkeys(port for spec in specs for port in _ports(spec)))


def _ports(spec: str) -> list[str]:
    ports, _, protocol = spec.partition("/")
    protocol = protocol.split("/")[0] or "tcp"
    address, host, container = _split(ports)
    if not container:
        raise DockerfileError(f"No port specified: {spec}<empty>")
    if address:
        _check_address(address)
    wanted = _range(container)
    if wanted is None:
        raise DockerfileError(f"Invalid containerPort: {container}")
    if host:
        _check_host(host, container, len(wanted))
    if protocol.lower() not in _PROTOCOLS:
        raise DockerfileError(f"Invalid proto: {protocol}")
    return [f"{port}/{protocol.lower()}" for port in wanted]


def _split(ports: str) -> tuple[str, str, str]:
    """Address, host's ports and container's; only the last must be there."""
    *rest, container = ports.split(":")
    host = rest.pop() if rest else ""
    return ":".join(rest), host, container


def _check_address(address: str) -> None:
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ipaddress.ip_address(bare)
    except ValueError as error:
        raise DockerfileError(f"Invalid ip address: {address}") from error


def _check_host(host: str, container: str, count: int) -> None:
    ports = _range(host)
    if ports is None:
        raise DockerfileError(f"Invalid hostPort: {host}")
    if len(ports) != count and count != 1:
        raise DockerfileError(
            f"Invalid ranges specified for container and host Ports: {container} and {host}"
        )


def _range(text: str) -> range | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2] or first)
    return range(first, last + 1) if first <= last <= _HIGHEST else None
