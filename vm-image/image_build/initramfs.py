"""The initrd: a cpio archive ("newc", Documentation/driver-api/early-userspace of Linux)."""

from __future__ import annotations

import stat
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file, folder, link or character device of the archive."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(name: str) -> Entry:
    """A folder that everyone may enter."""
    return Entry(name, stat.S_IFDIR | 0o755)


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def program(name: str, content: bytes) -> Entry:
    """A file that can be executed."""
    return Entry(name, stat.S_IFREG | 0o755, content)


def console() -> Entry:
    """The kernel opens /dev/console for its first process before anything is mounted."""
    return Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))


def pack(entries: list[Entry]) -> bytes:
    """The archive, uncompressed: it is small, and unpacking it would cost more than reading it."""
    output = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        fields = (
            number, entry.mode, 0, 0, 1, 0, len(entry.content),
            0, 0, *entry.device, len(name), 0,
        )  # fmt: skip
        output += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        output += b"\0" * (-len(output) % 4)
        output += entry.content
        output += b"\0" * (-len(output) % 4)
    return bytes(output)
