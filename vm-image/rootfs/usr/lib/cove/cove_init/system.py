"""System calls that Python's own modules lack, by libc.

`ctypes` is four times as dear to import as the `_ctypes` that it stands on, so PID 1 goes without.
"""

from __future__ import annotations

import _ctypes
import os
import struct


class Int(_ctypes._SimpleCData):
    """C's int."""

    _type_ = "i"


class ULong(_ctypes._SimpleCData):
    """C's unsigned long."""

    _type_ = "L"


class Function(_ctypes.CFuncPtr):
    """A C function that returns an int and may set errno; bytes are passed as strings."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = Int


_libc = _ctypes.dlopen(None, 0)


def function(name: str) -> Function:
    """A function of libc."""
    return Function(_ctypes.dlsym(_libc, name))


MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_REC, MS_SHARED = 1024, 16384, 1 << 20
MNT_DETACH = 2
POWER_OFF, RESTART = 0x4321FEDC, 0x01234567
RLIMIT_NPROC, RLIMIT_NOFILE = 6, 7
RLIM_INFINITY = 2**64 - 1
# include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl of Linux
EEXIST = 17
FINIT_MODULE = {"x86_64": 313, "aarch64": 273}


def check(result: int, subject: str) -> None:
    """Raise OSError for a failed call, with what it was about."""
    if result != 0:
        code = _ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)


def mount(source: str, target: str, type: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    words = [word.encode() or None for word in (source, target, type)]
    check(function("mount")(*words, ULong(flags), options.encode() or None), target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    check(function("umount2")(target.encode(), flags), target)


def insert_module(path: str) -> None:
    """finit_module(2): load a kernel module; one that is there already is fine."""
    number = FINIT_MODULE[os.uname().machine]
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        result = function("syscall")(ULong(number), ULong(fd), b"", ULong(0))
        if result != 0 and _ctypes.get_errno() != EEXIST:
            check(result, path)
    finally:
        os.close(fd)


def set_limit(resource: int, value: int) -> None:
    """Soft and hard limit of this process, which all later ones inherit."""
    pair = struct.pack("=QQ", value, value)
    check(function("setrlimit")(resource, pair), f"limit {resource}")


def reboot(command: int) -> None:
    """reboot(2): power off or restart at once."""
    function("reboot")(Int(command - (command >> 31 << 32)))


def write(path: str, text: str) -> None:
    """Write a short text to a file of /proc, /sys or /run."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read(path: str) -> bytes:
    """All of a small file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
