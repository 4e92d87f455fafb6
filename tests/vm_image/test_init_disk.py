"""PID 1 and the data disk: what it formats, what it checks, what it refuses."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from cove_init import disk

SIZE = 64 << 20


def superblock(
    *, state: int = 1, recovery: bool = False, label: str = "COVE", blocks: int
) -> bytes:
    block = bytearray(1024)
    struct.pack_into("<I", block, 4, blocks & 0xFFFFFFFF)
    struct.pack_into("<I", block, 24, 2)
    struct.pack_into("<H", block, 56, disk.MAGIC)
    struct.pack_into("<H", block, 58, state)
    struct.pack_into("<I", block, 96, 0x80 | (disk.NEEDS_RECOVERY if recovery else 0))
    struct.pack_into("<I", block, 0x150, blocks >> 32)
    block[120 : 120 + len(label)] = label.encode()
    return bytes(block)


class Programs:
    """Stands in for the supervisor: notes what was started, answers with the given codes."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.started: list[str] = []

    def __call__(self, argv: tuple[str, ...]) -> tuple[int, str]:
        self.started.append(" ".join((argv[0].rsplit("/", 1)[-1], *argv[1:-1])))
        return (self.codes.pop(0) if self.codes else 0), "said so"


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "disk", os.O_RDWR | os.O_CREAT)
    os.truncate(fd, SIZE)
    yield fd
    os.close(fd)


def test_a_blank_disk_is_formatted(blank: int) -> None:
    assert disk.look(blank) == (SIZE, None, True)
    programs = Programs()
    assert disk.prepare(programs, "/dev/vdb", SIZE, None, True, False) == "formatted"
    assert programs.started == [" ".join(("mke2fs", *disk.MKFS[1:]))]


@pytest.mark.parametrize("place", [0, 510, 1 << 20, SIZE - 1])
def test_a_byte_at_either_end_makes_a_disk_not_blank(blank: int, place: int) -> None:
    os.pwrite(blank, b"x", place)
    assert disk.look(blank) == (SIZE, None, False)


def test_a_copy_of_the_superblock_makes_a_disk_not_blank(blank: int) -> None:
    os.truncate(blank, 256 << 20)
    os.pwrite(blank, superblock(blocks=1), disk.BACKUPS[0])
    assert disk.look(blank) == (256 << 20, None, False)
    assert disk.has_backup(blank)


def test_foreign_content_is_left_alone() -> None:
    programs = Programs()
    with pytest.raises(disk.DiskError) as caught:
        disk.prepare(programs, "/dev/vdb", SIZE, None, False, False)
    assert "left as it is" in caught.value.reason and caught.value.hint
    assert programs.started == []


def test_a_damaged_superblock_is_restored_from_its_copy() -> None:
    programs = Programs(1)
    assert disk.prepare(programs, "/dev/vdb", SIZE, None, False, True) == "repaired"
    assert programs.started == ["e2fsck -f -y"]


def test_a_superblock_is_read() -> None:
    found = disk.Superblock(superblock(blocks=(3 << 32) + 5))
    assert found.size == ((3 << 32) + 5) * 4096
    assert found.label == "COVE" and found.is_clean
    assert not disk.Superblock(superblock(blocks=1, recovery=True)).is_clean
    assert not disk.Superblock(superblock(blocks=1, state=3)).is_clean


@pytest.mark.parametrize(
    "codes, started",
    [
        ((1,), ["e2fsck -p"]),
        ((4, 1), ["e2fsck -p", "e2fsck -f -y"]),
        ((4, 12, 1), ["e2fsck -p", "e2fsck -f -y", "e2fsck -f -y"]),
    ],
)
def test_an_unclean_disk_is_checked(codes: tuple[int, ...], started: list[str]) -> None:
    programs = Programs(*codes)
    found = disk.Superblock(superblock(blocks=SIZE // 4096, recovery=True))
    assert disk.prepare(programs, "/dev/vdb", SIZE, found, False, False) == "checked"
    assert programs.started == started


def test_what_e2fsck_cannot_mend_is_told() -> None:
    found = disk.Superblock(superblock(blocks=SIZE // 4096, recovery=True))
    with pytest.raises(disk.DiskError) as caught:
        disk.prepare(Programs(8, 8, 8, 8), "/dev/vdb", SIZE, found, False, False)
    assert "exit code 8" in caught.value.reason and "cove reset" in caught.value.hint


def test_a_clean_disk_starts_nothing() -> None:
    programs = Programs()
    found = disk.Superblock(superblock(blocks=SIZE // 4096))
    assert disk.prepare(programs, "/dev/vdb", SIZE, found, False, False) == "clean"
    assert programs.started == []


@pytest.mark.parametrize(
    "found, words",
    [
        (superblock(blocks=SIZE // 4096, label="photos"), '"photos"'),
        (superblock(blocks=SIZE // 4096 + 1), "cut short"),
    ],
)
def test_disks_that_do_not_fit_are_refused(found: bytes, words: str) -> None:
    with pytest.raises(disk.DiskError) as caught:
        disk.prepare(Programs(), "/dev/vdb", SIZE, disk.Superblock(found), False, False)
    assert words in caught.value.reason + caught.value.hint
