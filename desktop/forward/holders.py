"""Who holds a port of this computer: so that a refusal can name the program."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_UNCONNECTED = "07"  # what an unconnected UDP socket shows


def parse_table(text: str, port: int, state: str) -> list[str]:
    """Inodes of the sockets of /proc/net/{tcp,udp}[6] that are bound to a port."""
    inodes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
            inodes.append(fields[9])
    return inodes


def find(protocol: str, port: int) -> str:
    """`name (pid N)` of the program that holds the port; "" when that can't be seen."""
    if sys.platform == "darwin":
        from desktop import macos

        return macos.port_holder(protocol, port)
    state = _LISTEN if protocol == "tcp" else _UNCONNECTED
    wanted: set[str] = set()
    for name in (protocol, protocol + "6"):
        with suppress(OSError):
            wanted.update(parse_table((PROC / "net" / name).read_text(), port, state))
    targets = {f"socket:[{inode}]" for inode in wanted}
    for process in PROC.iterdir() if targets else ():
        if process.name.isdigit() and _holds(process, targets):
            with suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _holds(process: Path, targets: set[str]) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return False  # another user's process, or one that just ended
    for descriptor in descriptors:
        with suppress(OSError):
            if os.readlink(descriptor) in targets:
                return True
    return False


def bind_test(protocol: str, host: str, port: int) -> int:
    """Bind and let go; answers the port (a free one for 0). Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if protocol == "tcp":  # QEMU sets it too: connections in TIME_WAIT hold no port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])
