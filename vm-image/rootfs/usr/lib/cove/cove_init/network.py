"""The network: fixed addresses on QEMU's user network, set by ioctl."""

from __future__ import annotations

import _socket
import fcntl
import os
import struct
import time

from cove_init.system import write

ADDRESS, NETMASK, GATEWAY, RESOLVER = "10.0.2.15", "255.255.255.0", "10.0.2.2", "10.0.2.3"
# include/uapi/linux/sockios.h, if.h and route.h of Linux
SIOCADDRT, SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = (
    0x890B, 0x8913, 0x8914, 0x8916, 0x891C,
)  # fmt: skip
IFF_UP = 1
RTF_UP, RTF_GATEWAY = 1, 2


def address(text: str, port: int = 0) -> bytes:
    """struct sockaddr_in, 16 bytes."""
    return struct.pack("=HH4s8x", _socket.AF_INET, port, _socket.inet_aton(text))


def route(gateway: str) -> bytes:
    """struct rtentry for the default route: 120 bytes on 64-bit machines."""
    anywhere = address("0.0.0.0")
    head = struct.pack(
        "@L16s16s16sH", 0, anywhere, address(gateway), anywhere, RTF_UP | RTF_GATEWAY
    )
    return head.ljust(120, b"\0")


def request(name: str, content: bytes) -> bytes:
    """struct ifreq, 40 bytes: an interface's name and what is asked of it."""
    return struct.pack("16s24s", name.encode(), content)


def bring_up(sock: _socket.socket, name: str) -> None:
    """Switch an interface on."""
    answer = fcntl.ioctl(sock.fileno(), SIOCGIFFLAGS, request(name, b""))
    (flags,) = struct.unpack_from("=H", answer, 16)
    fcntl.ioctl(sock.fileno(), SIOCSIFFLAGS, request(name, struct.pack("=H", flags | IFF_UP)))


def find_interface(seconds: float = 2.0) -> str:
    """The first network card; OSError when none appears in time."""
    until = time.monotonic() + seconds
    while True:
        names = sorted(n for n in os.listdir("/sys/class/net") if n.startswith(("eth", "en")))
        if names:
            return names[0]
        if time.monotonic() > until:
            raise OSError(19, "the machine has no network card")
        time.sleep(0.01)


def set_up() -> str:
    """Loopback, address, default route, resolver; returns what was set, for the console."""
    with _Socket() as sock:
        bring_up(sock, "lo")
        name = find_interface()
        fcntl.ioctl(sock.fileno(), SIOCSIFADDR, request(name, address(ADDRESS)))
        fcntl.ioctl(sock.fileno(), SIOCSIFNETMASK, request(name, address(NETMASK)))
        bring_up(sock, name)
        fcntl.ioctl(sock.fileno(), SIOCADDRT, route(GATEWAY))
    write("/run/cove/resolv.conf", f"nameserver {RESOLVER}\n")
    return f"{name} {ADDRESS}"


class _Socket:
    """A socket to ask the kernel by; `socket.socket` would import half of the library."""

    def __enter__(self) -> _socket.socket:
        self._sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        return self._sock

    def __exit__(self, *error: object) -> None:
        self._sock.close()
