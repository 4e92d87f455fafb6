"""The data disk: found by its serial number, formatted when blank, checked when it needs to be.

A disk that holds anything that isn't ours is left alone.
"""

from __future__ import annotations

import os
import struct

from cove_init.console import say
from cove_init.system import MS_NOATIME, mount, read

SERIAL, LABEL, TARGET = "data", "COVE", "/var/lib/cove"
MAGIC = 0xEF53
CLEAN, ERRORS, NEEDS_RECOVERY = 1, 2, 4
# A blank disk is all zeros here; old data rarely is.
HEAD, TAIL = 4 << 20, 1 << 20
# e2fsck that replayed a journal by a copy of the superblock stops, and wants to be run again.
FULL_CHECKS = 3
# Groups that keep a copy of the superblock, each of 32768 blocks of 4096 bytes.
BACKUPS = tuple(group * 32768 * 4096 for group in (1, 3, 5, 7, 9))
MKFS = ("/usr/sbin/mke2fs", "-q", "-t", "ext4", "-F", "-m", "0", "-L", LABEL,
        "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")  # fmt: skip


class DiskError(Exception):
    """Why there is no data disk, and what to do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class Superblock:
    """What the superblock of an ext4 tells (Documentation/filesystems/ext4/super.rst)."""

    def __init__(self, block: bytes) -> None:
        (low,) = struct.unpack_from("<I", block, 4)
        (shift,) = struct.unpack_from("<I", block, 24)
        (self.state,) = struct.unpack_from("<H", block, 58)
        (self.incompatible,) = struct.unpack_from("<I", block, 96)
        (high,) = struct.unpack_from("<I", block, 0x150)
        wide = self.incompatible & 0x80
        self.block_size = 1024 << min(shift, 6)
        self.size = (low + ((high << 32) if wide else 0)) * self.block_size
        self.label = block[120:136].rstrip(b"\0").decode(errors="replace")

    @property
    def is_clean(self) -> bool:
        """Unmounted properly, and without a known fault."""
        closed = bool(self.state & CLEAN) and not self.incompatible & NEEDS_RECOVERY
        return closed and not self.state & ERRORS


def is_superblock(block: bytes) -> bool:
    """Whether 1 KiB looks like ext4's superblock."""
    return len(block) >= 1024 and struct.unpack_from("<H", block, 56)[0] == MAGIC


def find_disk(serial: str = SERIAL) -> str:
    """The device whose serial number the host chose for the data disk."""
    for name in sorted(os.listdir("/sys/block")):
        try:
            found = read(f"/sys/block/{name}/serial").decode().strip()
        except OSError:
            continue
        if found == serial:
            return f"/dev/{name}"
    raise DiskError(f'no disk with the serial number "{serial}"', "start the VM with `cove start`")


def look(fd: int) -> tuple[int, Superblock | None, bool]:
    """Size in bytes, the superblock if there is one, and whether the disk is blank."""
    size = os.lseek(fd, 0, os.SEEK_END)
    block = os.pread(fd, 1024, 1024)
    if is_superblock(block):
        return size, Superblock(block), False
    return size, None, is_blank(fd, size)


def is_blank(fd: int, size: int) -> bool:
    """No byte but zero at both ends, and no copy of a superblock further in."""
    ends = ((0, min(HEAD, size)), (max(0, size - TAIL), TAIL))
    for start, length in ends:
        if any(os.pread(fd, length, start)):
            return False
    return not has_backup(fd)


def has_backup(fd: int) -> bool:
    """Whether a copy of ext4's superblock is where our own file system keeps them."""
    return any(is_superblock(os.pread(fd, 1024, place)) for place in BACKUPS)


def attach(run) -> str:
    """Make the data disk usable and mount it; returns what was done, for the console.

    `run(argv) -> (exit code, last line of output)` runs a program while services stay watched.
    """
    device = find_disk()
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, superblock, blank = look(fd)
        backup = superblock is None and not blank and has_backup(fd)
    finally:
        os.close(fd)
    done = prepare(run, device, size, superblock, blank, backup)
    try:
        mount(device, TARGET, "ext4", MS_NOATIME)
    except OSError as error:
        say(f"disk: mount failed ({error.strerror}); checking all of it")
        repair(run, device, forced=True)
        mount_again(device)
        done = "repaired"
    if superblock is not None and size >= superblock.size + (16 << 20):
        code, said = run(("/usr/sbin/resize2fs", device))
        done = f"grown to {size >> 20} MiB" if code == 0 else f"not grown: {said}"
    return f"{done}, {size >> 20} MiB"


def mount_again(device: str) -> None:
    """The last try, after a full check."""
    try:
        mount(device, TARGET, "ext4", MS_NOATIME)
    except OSError as error:
        raise DiskError(
            f"the data disk can't be mounted even after a check: {error.strerror}",
            "copy the disk file away, then `cove reset` makes a new one",
        ) from None


def prepare(
    run, device: str, size: int, superblock: Superblock | None, blank: bool, backup: bool
) -> str:
    """Everything before the mount; returns in a word what the disk was like."""
    if blank:
        return format(run, device)
    if superblock is None:
        if not backup:
            raise DiskError(
                "the data disk holds something that isn't Cove's file system; it is left as it is",
                "restore the disk file from a copy, or move it away and start again",
            )
        say("disk: the superblock is damaged; restoring it from its copy")
        repair(run, device, forced=True)
        return "repaired"
    if superblock.label != LABEL:
        raise DiskError(
            f'the data disk holds a file system labelled "{superblock.label}", not {LABEL}',
            "give the VM the disk that `cove start` made, or move this one away",
        )
    if superblock.size > size:
        raise DiskError(
            f"the disk has {size >> 20} MiB but its file system {superblock.size >> 20} MiB",
            "the disk file was cut short: restore it from a copy, or grow it to its old size",
        )
    if superblock.is_clean:
        return "clean"
    repair(run, device, forced=False)
    return "checked"


def format(run, device: str) -> str:
    """A new file system on a blank disk."""
    say("disk: blank, making a file system")
    code, said = run((*MKFS, device))
    if code != 0:
        hint = "is the host's disk full? `cove logs` shows more"
        raise DiskError(f"mkfs.ext4 failed: {said}", hint)
    return "formatted"


def repair(run, device: str, *, forced: bool) -> None:
    """Replay the journal and mend what is safe; if that isn't enough, mend everything."""
    if not forced:
        say("disk: not closed properly last time, checking")
        code, said = run(("/usr/sbin/e2fsck", "-p", device))
        if code < 4:
            say(f"disk: check done{': ' + said if said else ''}")
            return
        say(f"disk: {said}; mending everything that can be")
    for _ in range(FULL_CHECKS):
        code, said = run(("/usr/sbin/e2fsck", "-f", "-y", device))
        if code < 4:
            break
    else:
        raise DiskError(
            f"e2fsck could not mend the data disk (exit code {code}): {said}",
            "copy the disk file away, then `cove reset` makes a new one",
        )
    say(f"disk: mended: {said}")
