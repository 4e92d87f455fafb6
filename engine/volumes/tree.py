"""Whole folder trees: how much they hold, and copies that keep owners, links and attributes."""

import contextlib
import errno
import os
import stat
from pathlib import Path

_NO_XATTR = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EACCES})


def size_of(folder: str | Path) -> int:
    """Bytes of all files below, a hard-linked one counted once; what vanishes meanwhile is not."""
    seen: set[tuple[int, int]] = set()
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
                    elif status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        total += status.st_size
    return total


def is_empty(folder: str | Path) -> bool:
    """Whether the folder holds nothing; a file system's own lost+found doesn't count."""
    with os.scandir(folder) as entries:
        return all(entry.name == "lost+found" for entry in entries)


def copy(source: str | Path, target: str | Path) -> None:
    """Copy what is in source into target, and source's own mode, owner and times.

    Keeps owners, modes, times, extended attributes, hard links, symbolic links, devices and
    holes; never follows a symbolic link. Blocks. Raises OSError.
    """
    source, target = os.fspath(source), os.fspath(target)
    links: dict[tuple[int, int], str] = {}
    folders: list[tuple[str, str, os.stat_result]] = []
    waiting = [(source, target)]
    while waiting:
        here, there = waiting.pop()
        folders.append((here, there, os.stat(here)))
        with os.scandir(here) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                goal = os.path.join(there, entry.name)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(goal, 0o700)
                    waiting.append((entry.path, goal))
                else:
                    _copy_entry(entry.path, goal, status, links)
    for here, there, status in reversed(folders):  # times last: writing inside changes them
        _copy_metadata(here, there, status)


def _copy_entry(
    source: str, target: str, status: os.stat_result, links: dict[tuple[int, int], str]
) -> None:
    identity = (status.st_dev, status.st_ino)
    if status.st_nlink > 1:
        if identity in links:
            os.link(links[identity], target, follow_symlinks=False)
            return
        links[identity] = target
    if stat.S_ISREG(status.st_mode):
        _copy_content(source, target, status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISSOCK(status.st_mode):
        return  # belongs to the process that bound it
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    _copy_metadata(source, target, status)


def _copy_content(source: str, target: str, size: int) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(writing, size)
            for start, end in _extents(reading, size):
                _copy_range(reading, writing, start, end)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """The parts of a file that hold data, without its holes."""
    found: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                break
            return [(0, size)]
        found.append((start, position))
    return found


def _copy_range(reading: int, writing: int, start: int, end: int) -> None:
    while start < end:
        try:
            count = os.copy_file_range(reading, writing, end - start, start, start)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            piece = os.pread(reading, min(end - start, 1 << 20), start)
            count = os.pwrite(writing, piece, start) if piece else 0
        if count == 0:
            return  # it shrank meanwhile
        start += count


def _copy_metadata(source: str, target: str, status: os.stat_result) -> None:
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    _copy_attributes(source, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _copy_attributes(source: str, target: str) -> None:
    try:
        for name in os.listxattr(source, follow_symlinks=False):
            if name.startswith("trusted.overlay."):
                continue
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_XATTR:
            raise
