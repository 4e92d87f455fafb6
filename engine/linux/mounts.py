"""Mount points: the value, and mount(2)/umount2(2) by the C library."""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from engine.linux.libc import check, libc
from engine.values import dataclass

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

_FLAGS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "sync": 0x10,
    "remount": MS_REMOUNT,
    "dirsync": 0x80,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "relatime": 0x200000,
    "strictatime": 0x1000000,
}
_IGNORED = frozenset({"rw", "suid", "dev", "exec", "async", "defaults"})
_PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}


@dataclass(frozen=True)
class Mount:
    """One mount as mount(8) words it; `options` holds flags, data and propagation words."""

    type: str
    source: str
    target: str
    options: tuple[str, ...] = ()

    def to_oci(self) -> dict[str, object]:
        """The entry of an OCI config's `mounts`."""
        return {
            "destination": self.target,
            "type": self.type,
            "source": self.source,
            "options": list(self.options),
        }


def parse_options(options: tuple[str, ...]) -> tuple[int, int, str]:
    """Split option words into (flags, propagation flags, data for the file system)."""
    flags = propagation = 0
    data: list[str] = []
    for word in options:
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _PROPAGATION:
            propagation |= _PROPAGATION[word]
        elif word not in _IGNORED:
            data.append(word)
    return flags, propagation, ",".join(data)


def _call(source: str, target: str, type_: str, flags: int, data: str) -> None:
    result = libc().mount(
        ctypes.c_char_p(os.fsencode(source)),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_char_p(type_.encode()),
        ctypes.c_ulong(flags),
        ctypes.c_char_p(os.fsencode(data)) if data else None,
    )
    check(result, source, target)


def mount(what: Mount) -> None:
    """Mount it; a read-only bind takes the second call that the kernel needs. Raises OSError.

    Overlay data longer than a page must be shortened by the caller (relative lowerdirs).
    """
    flags, propagation, data = parse_options(what.options)
    _call(what.source, what.target, what.type, flags, data)
    if flags & MS_BIND and flags & ~(MS_BIND | MS_REC):
        # mount(2) ignores other flags on the call that makes the bind
        _call(what.source, what.target, what.type, (flags & ~MS_REC) | MS_REMOUNT, data)
    if propagation:
        _call("none", what.target, "", propagation, "")


def propagate(target: str | Path, word: str) -> None:
    """Change how mounts below `target` spread: private, rslave, shared..."""
    _call("none", str(target), "", _PROPAGATION[word], "")


def unmount(path: str | Path, lazy: bool = False) -> bool:
    """Unmount `path`; False when nothing is mounted there (or it's gone). Raises OSError (EBUSY).

    `lazy` detaches at once and lets the kernel finish when the last user is gone.
    """
    flags = UMOUNT_NOFOLLOW | (MNT_DETACH if lazy else 0)
    result = libc().umount2(ctypes.c_char_p(os.fsencode(path)), ctypes.c_int(flags))
    if result < 0 and ctypes.get_errno() in (errno.EINVAL, errno.ENOENT):
        return False
    check(result, str(path))
    return True


def _unescape(word: str) -> str:
    """Undo the octal escapes of /proc/PID/mountinfo (space, tab, newline, backslash)."""
    if "\\" not in word:
        return word
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(escape, character)
    return word


@dataclass(frozen=True)
class Mounted:
    """A line of /proc/self/mountinfo."""

    target: str
    type: str
    source: str
    options: tuple[str, ...]
    propagation: str


def mounted(process: str | int = "self") -> Iterator[Mounted]:
    """Every mount that `process` sees, oldest first (proc_pid_mountinfo(5))."""
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.split()
            dash = words.index("-", 6)
            optional = words[6:dash]
            shared = any(word.startswith("shared:") for word in optional)
            slave = any(word.startswith("master:") for word in optional)
            yield Mounted(
                target=_unescape(words[4]),
                type=words[dash + 1],
                source=_unescape(words[dash + 2]),
                options=tuple({*words[5].split(","), *words[dash + 3].split(",")}),
                propagation="shared" if shared else "slave" if slave else "private",
            )


def is_mounted(path: str | Path) -> bool:
    """Whether something is mounted exactly at `path` (compared after resolving links)."""
    wanted = os.path.realpath(path)
    return any(entry.target == wanted for entry in mounted())
