"""Device nodes of this machine: one by its path, a folder of them, or all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.values import dataclass, replace

_SKIPPED = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"})


@dataclass(frozen=True)
class Device:
    """A device node: where it appears, "c" or "b", its numbers, mode and owner.

    `permissions` is the cgroup rule's access: some of "rwm". `source` is where the machine has it.
    """

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    permissions: str = "rwm"
    source: str = ""


def read(path: str | Path) -> Device | None:
    """The device at `path` (links followed); None when it is no device. Raises OSError."""
    status = os.stat(path)
    if stat.S_ISCHR(status.st_mode):
        word = "c"
    elif stat.S_ISBLK(status.st_mode):
        word = "b"
    else:
        return None
    return Device(
        path=str(path),
        source=str(path),
        type=word,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def walk(folder: str | Path = "/dev") -> Iterator[Device]:
    """Every device below `folder`, without pseudo-terminals and links."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.is_symlink() or entry.name in _SKIPPED:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path)
            elif (device := read(entry.path)) is not None:
                yield device


def resolve(source: str, target: str = "", permissions: str = "rwm") -> list[Device]:
    """The devices that `--device source:target:permissions` names; a folder gives all inside.

    Raises OSError when `source` is missing, ValueError when it holds no device.
    """
    target = target or source
    if os.path.isdir(source):
        found = [
            replace(device, path=target + device.path.removeprefix(source.rstrip("/")))
            for device in walk(source)
        ]
    else:
        device = read(source)
        found = [replace(device, path=target)] if device else []
    if not found:
        raise ValueError(f"{source} is not a device node")
    return [replace(device, permissions=permissions) for device in found]
