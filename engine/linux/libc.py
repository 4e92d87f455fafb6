"""The C library's calls that Python doesn't wrap, by ctypes; each raises OSError."""

import ctypes
import errno
import functools
import os
import platform

_SYSCALL_OPENAT2 = 437  # the same number on x86-64 and aarch64
_SYSCALL_PIDFD_SEND_SIGNAL = 424
RESOLVE_NO_XDEV = 0x01
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x02


@functools.cache
def libc() -> ctypes.CDLL:
    """The process's own C library, with errno kept per call."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, *paths: str) -> int:
    """Return `result`, or raise the OSError of errno when it is negative."""
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if len(paths) == 2:
        raise OSError(number, os.strerror(number), paths[0], None, paths[1])
    raise OSError(number, os.strerror(number), *paths)


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as if `root_fd` were the root directory: no link leads out of it (openat2(2)).

    Kernels before 5.6 lack the call; that raises OSError(ENOSYS) rather than opening unsafely.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    return _openat2(root_fd, path, how)


def open_beneath(folder_fd: int, path: str, flags: int) -> int:
    """As `open_in_root`, but what leads above or begins at the root is refused: OSError(EXDEV)."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    return _openat2(folder_fd, path, how)


def open_unmounted(folder_fd: int, name: str | bytes, flags: int) -> int:
    """Open `name` in a folder unless something is mounted there. Raises OSError (EXDEV)."""
    return _openat2(folder_fd, name, _OpenHow(flags | os.O_CLOEXEC, 0, RESOLVE_NO_XDEV))


def _openat2(folder_fd: int, path: str | bytes, how: _OpenHow) -> int:
    while True:
        result = libc().syscall(
            ctypes.c_long(_SYSCALL_OPENAT2),
            ctypes.c_int(folder_fd),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        # EAGAIN: a rename elsewhere raced with the walk; the kernel asks to try again
        if result >= 0 or ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            return check(int(result), os.fsdecode(path))


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces (unshare(2), CLONE_NEW* flags)."""
    check(libc().unshare(ctypes.c_int(flags)))


def machine() -> str:
    """The processor's name as Go writes it: amd64, arm64, else the kernel's word."""
    word = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(word, word)


def exchange(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> None:
    """Swap what two paths name, in one step (renameat2(2), RENAME_EXCHANGE). Raises OSError."""
    paths = [ctypes.c_char_p(os.fsencode(path)) for path in (one, other)]
    here, flag = ctypes.c_int(-100), ctypes.c_uint(2)
    result = libc().renameat2(here, paths[0], here, paths[1], flag)
    check(result, os.fspath(one), os.fspath(other))
