"""The folder under all layers of a container: what dockerd's init layer holds.

Places to mount on, which the runtime would make in the writable layer otherwise, and
/.dockerenv, by which programs know that they run in a container. An image's own files hide it.
"""

import os
from pathlib import Path

from engine.linux.removal import remove_tree

_FOLDERS = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
_FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")


def lay(folder: Path) -> None:
    """Make the folder unless it's there; blocks. Never half of it, whenever the engine dies."""
    if folder.exists():
        return
    building = folder.with_name(f".{folder.name}")
    remove_tree(building)
    building.mkdir()
    for name in _FOLDERS:
        (building / name).mkdir()
    for name in _FILES:
        (building / name).touch()
    (building / "etc/mtab").symlink_to("/proc/mounts")
    for name in ("", *_FOLDERS, *_FILES):
        os.chmod(building / name, 0o755)
    building.rename(folder)
