"""A mount namespace of the engine's own, so that its mounts are nobody else's business.

The namespace lives as long as a process is in it: conmon keeps it beyond the engine. The next
engine on the same root goes back into it and finds its mounts (root file systems, volumes, network
namespaces) where they were.
"""

import contextlib
import os
from pathlib import Path

from engine.linux.libc import check, libc, unshare
from engine.linux.mounts import is_mounted, propagate, unmount

CLONE_NEWNS = 0x00020000
_HYBRID = "/sys/fs/cgroup/unified"


def enter(marker: Path) -> bool:
    """Move this process into the namespace that marker names, or into a new one.

    To be called before the process has a second thread. True when an earlier one was found.
    Raises OSError (EPERM without root).
    """
    if (descriptor := _find(marker)) is not None:
        try:
            check(libc().setns(descriptor, CLONE_NEWNS))
            return True
        finally:
            os.close(descriptor)
    unshare(CLONE_NEWNS)
    # Our mounts stay here; what the machine mounts later still reaches the containers.
    propagate("/", "rslave")
    if is_mounted(_HYBRID):
        # crun takes a machine with both hierarchies for one that it can't use.
        unmount(_HYBRID, lazy=True)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(f"{_boot_id()} {_inode('self')}\n")
    return False


def _find(marker: Path) -> int | None:
    """A descriptor of the namespace that an earlier engine made, if something still runs in it."""
    try:
        boot, inode = marker.read_text().split()
    except (OSError, ValueError):
        return None
    if boot != _boot_id():
        return None
    for process in os.listdir("/proc"):
        if not process.isdigit():
            continue
        with contextlib.suppress(OSError):
            if _inode(process) == inode and _is_monitor(process, marker.parent):
                return os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _inode(process: str) -> str:
    return str(os.stat(f"/proc/{process}/ns/mnt").st_ino)


def _is_monitor(process: str, run: Path) -> bool:
    """Whether it's a conmon of an engine with this run folder: inode numbers are used again."""
    folder = Path("/proc") / process
    if (folder / "comm").read_text().strip() != "conmon":
        return False
    return os.fsencode(f"{run}/") in (folder / "cmdline").read_bytes()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
