"""Fills a fresh volume with what the image has at its destination, owners and modes kept."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

from engine.containers.paths import resolve_in


def _copy_attributes(source: str, target: str, status: os.stat_result) -> None:
    os.lchown(target, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        with contextlib.suppress(OSError):
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _copy_entry(source: str, target: str, links: dict[tuple[int, int], str]) -> None:
    status = os.lstat(source)
    identity = (status.st_dev, status.st_ino)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(target)
        _copy_children(source, target, links)
    elif status.st_nlink > 1 and identity in links:
        os.link(links[identity], target, follow_symlinks=False)
        return
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(status.st_mode):
        shutil.copyfile(source, target)
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    links[identity] = target
    _copy_attributes(source, target, status)


def _copy_children(source: str, target: str, links: dict[tuple[int, int], str]) -> None:
    for name in os.listdir(source):
        _copy_entry(os.path.join(source, name), os.path.join(target, name), links)


def copy_up(rootfs: Path, destination: str, volume: Path) -> None:
    """Copy `destination` of the image into `volume` if that is empty. Blocks; raises OSError."""
    source = resolve_in(rootfs, destination)
    if any(volume.iterdir()) or not source.is_dir():
        return
    _copy_children(str(source), str(volume), {})
    _copy_attributes(str(source), str(volume), source.stat())
