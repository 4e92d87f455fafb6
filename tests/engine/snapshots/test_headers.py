"""Tar headers: byte by byte what tarfile writes."""

from __future__ import annotations

import tarfile

import pytest

from engine.snapshots.headers import encode


def info(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    "member",
    [
        info("a", size=5, mode=0o4755, uid=1000, gid=7, mtime=1700000000),
        info("d", type=tarfile.DIRTYPE, mode=0o1777),
        info("l", type=tarfile.SYMTYPE, linkname="../x y"),
        info("h", type=tarfile.LNKTYPE, linkname="a"),
        info("n", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        info("b", type=tarfile.BLKTYPE, devmajor=259, devminor=1048575),
        info("f", type=tarfile.FIFOTYPE),
        info("a", mtime=1, pax_headers={"mtime": "1.000000001"}),
        info("a", pax_headers={"mtime": "1.5", "SCHILY.xattr.user.x": "v\udcff" * 40}),
        info("x" * 100),
        info("x" * 99, type=tarfile.DIRTYPE),
        info("x" * 100, type=tarfile.DIRTYPE),
        info("x" * 101),
        info(f"{'d' * 80}/{'x' * 80}"),
        info("ü"),
        info("\udcff"),
        info("l", type=tarfile.SYMTYPE, linkname="x" * 101),
        info("a", uid=8**7 - 1, gid=8**7),
        info("a", size=8**11),
        info("a", mtime=-5),
    ],
)
def test_as_tarfile_has_them(member: tarfile.TarInfo) -> None:
    assert encode(member) == member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@pytest.mark.parametrize("size", [*range(1, 12), *range(85, 105), *range(980, 1000)])
def test_records_of_every_length(size: int) -> None:
    member = info("a", pax_headers={"k": "v" * size})
    assert encode(member) == member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
