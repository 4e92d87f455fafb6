"""Copies of whole trees: by reflink where the file system can, else the bytes, in threads.

Kept are owners, modes, times, extended attributes, hard links, links, devices, pipes and holes.
Sockets belong to the process that bound them and are left out.
"""

import contextlib
import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from engine.volumes.inside.attributes import (
    copy_attributes,
    path_in,
    read_attributes,
    write_attributes,
)
from engine.volumes.inside.progress import Progress
from engine.volumes.inside.walk import Found, Stopped, open_plain, walk

FICLONE = 0x40049409  # _IOW(0x94, 9, int) of linux/fs.h
_NO_REFLINK = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)
_NO_RANGES = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP = 8 << 20  # bytes between two looks at whether to stop
_PIECE = 1 << 20
_LARGE = 1 << 20  # bytes from which another thread pays
_THREADS = 3
_WAITING = 6  # files, each two descriptors


class Copier:
    """Copies what is in the folder `source` into the empty folder `target` (two descriptors).

    Nobody else may know `target` yet. Blocks. Raises Stopped, OSError, EngineError.
    """

    def __init__(self, source: int, target: int, progress: Progress) -> None:
        self._source, self._target = source, target
        self._progress = progress
        self._links: dict[tuple[int, int], str] = {}
        self._folders: list[tuple[str, os.stat_result, dict[str, bytes]]] = []
        self._room = threading.Semaphore(_WAITING)
        self._running: set[Future[None]] = set()
        self.reflinks = True  # until the file system says no

    def run(self) -> None:
        """The whole tree, the target's own owner, mode and times at last."""
        pool = ThreadPoolExecutor(_THREADS, "copy")
        try:
            with contextlib.closing(walk(self._source, self._progress.stopped)) as found:
                for each in found:
                    self._add(each, pool)
            self._settle(wait=True)
        except Stopped:
            self._settle(wait=True)  # a file's own failure goes first, if that's what stopped it
            raise
        except BaseException:
            self._progress.stop()
            raise
        finally:
            pool.shutdown()
        for path, status, attributes in reversed(self._folders):  # copying inside changes times
            self._dress_folder(path, status, attributes)

    def _add(self, found: Found, pool: ThreadPoolExecutor) -> None:
        status = found.status
        if found.fd >= 0:
            if found.path:
                os.mkdir(found.path, 0o700, dir_fd=self._target)
            self._folders.append((found.path, status, read_attributes(found.fd)))
        elif not self._linked(found):
            if stat.S_ISREG(status.st_mode):
                self._file(found, pool)
            elif not stat.S_ISSOCK(status.st_mode):
                self._special(found)

    def _linked(self, found: Found) -> bool:
        """Whether it's another name of a file that is copied already."""
        if found.status.st_nlink < 2:
            return False
        identity = (found.status.st_dev, found.status.st_ino)
        first = self._links.get(identity)
        if first is None:
            return False
        os.link(
            first,
            found.path,
            src_dir_fd=self._target,
            dst_dir_fd=self._target,
            follow_symlinks=False,
        )
        return True

    def _remember(self, status: os.stat_result, path: str) -> None:
        if status.st_nlink > 1:
            self._links[(status.st_dev, status.st_ino)] = path

    def _special(self, found: Found) -> None:
        """A link or a node."""
        try:
            status = found.status
            attributes = read_attributes(path_in(found.folder, found.name))
            if stat.S_ISLNK(status.st_mode):
                os.symlink(
                    os.readlink(found.name, dir_fd=found.folder), found.path, dir_fd=self._target
                )
            else:
                os.mknod(found.path, status.st_mode, status.st_rdev, dir_fd=self._target)
        except FileNotFoundError:
            return  # gone since
        except OSError as error:
            if error.errno == errno.EINVAL and stat.S_ISLNK(found.status.st_mode):
                return  # no link any more
            raise
        self._remember(status, found.path)
        os.chown(
            found.path, status.st_uid, status.st_gid, dir_fd=self._target, follow_symlinks=False
        )
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(found.path, stat.S_IMODE(status.st_mode), dir_fd=self._target)
        write_attributes(attributes, path_in(self._target, found.path))
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(found.path, ns=times, dir_fd=self._target, follow_symlinks=False)
        self._progress.add(files=1)

    def _file(self, found: Found, pool: ThreadPoolExecutor) -> None:
        reading = open_plain(found)
        if reading < 0:
            return
        try:
            writing = os.open(found.path, _CREATE, 0o600, dir_fd=self._target)
        except BaseException:
            os.close(reading)
            raise
        status = os.fstat(reading)
        self._remember(status, found.path)
        if status.st_size < _LARGE or self._reflink(reading, writing):
            self._finish(reading, writing, status, copied=status.st_size >= _LARGE)
            return
        self._room.acquire()
        self._settle(wait=False)
        self._running.add(pool.submit(self._apart, reading, writing, status))

    def _apart(self, reading: int, writing: int, status: os.stat_result) -> None:
        try:
            self._finish(reading, writing, status, copied=False)
        except BaseException:
            self._progress.stop()  # the walk ends, and raises this in its turn
            raise
        finally:
            self._room.release()

    def _settle(self, *, wait: bool) -> None:
        """Hear how files ended that were copied apart; raises what they raised."""
        ended = [one for one in self._running if wait or one.done()]
        failures = [error for one in ended if (error := one.exception()) is not None]
        self._running.difference_update(ended)
        for error in sorted(failures, key=lambda each: isinstance(each, Stopped)):
            raise error

    def _finish(self, reading: int, writing: int, status: os.stat_result, *, copied: bool) -> None:
        """The content unless it's `copied`, and the rest; closes both."""
        try:
            if copied:
                self._progress.add(status.st_size)
            elif status.st_size:
                self._content(reading, writing, status.st_size)
            os.fchown(writing, status.st_uid, status.st_gid)
            os.fchmod(writing, stat.S_IMODE(status.st_mode))
            copy_attributes(reading, writing)
            os.utime(writing, ns=(status.st_atime_ns, status.st_mtime_ns))
            self._progress.add(files=1)
        finally:
            os.close(reading)
            os.close(writing)

    def _reflink(self, reading: int, writing: int) -> bool:
        if not self.reflinks:
            return False
        try:
            fcntl.ioctl(writing, FICLONE, reading)
        except OSError as error:
            if error.errno not in _NO_REFLINK:
                raise
            self.reflinks = False
            return False
        return True

    def _content(self, reading: int, writing: int, size: int) -> None:
        if self._reflink(reading, writing):
            self._progress.add(size)
            return
        os.truncate(writing, size)
        known = 0
        for start, end in extents(reading, size):
            self._progress.add(start - known)  # a hole
            self._range(reading, writing, start, end)
            known = end
        self._progress.add(size - known)

    def _range(self, reading: int, writing: int, start: int, end: int) -> None:
        while start < end:
            if self._progress.stopped():
                raise Stopped
            count = _copy_some(reading, writing, start, min(end - start, _STEP))
            if count == 0:
                return  # it shrank meanwhile
            start += count
            self._progress.add(count)

    def _dress_folder(
        self, path: str, status: os.stat_result, attributes: dict[str, bytes]
    ) -> None:
        fd = os.dup(self._target)
        if path:
            os.close(fd)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._target)
        try:
            os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
            write_attributes(attributes, fd)
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(fd)


def _copy_some(reading: int, writing: int, at: int, size: int) -> int:
    try:
        return os.copy_file_range(reading, writing, size, at, at)
    except OSError as error:
        if error.errno not in _NO_RANGES:
            raise
    piece = os.pread(reading, min(size, _PIECE), at)
    return os.pwrite(writing, piece, at) if piece else 0


def extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts (start, end) of a file that hold data, without its holes."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that is: nothing but a hole up to the end
                yield position, size
            return
        if start < size:
            yield start, position
