"""Generated hostile layers: none writes outside of its folder, none breaks the unpacker.

COVE_ARCHIVES=100000 makes that many; each has its own seed, told when it fails.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from engine.linux.removal import remove_tree
from engine.snapshots.unpack import Limits, UnpackError, unpack

pytestmark = pytest.mark.root

ARCHIVES = int(os.environ.get("COVE_ARCHIVES", "2000"))
LIMITS = Limits(entries=1000, size=1 << 22)
KINDS = (
    tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE,
    tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE,
    b"V", b"M", b"\xff",
)  # fmt: skip
NAMES = ("a", "b", "A", "l", ".", "..", "", ".wh.a", ".wh.l", ".wh..wh..opq", ".wh...", "x" * 300)
ATTRIBUTES = ("trusted.overlay.opaque", "trusted.overlay.redirect", "user.x", "security.capability")


def path(chance: random.Random, outside: Path) -> str:
    """A name for a member or a link's target: short names meet each other often."""
    parts = [chance.choice(NAMES[:4]) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.15:
        parts[chance.randrange(len(parts))] = chance.choice(NAMES[4:])
    start = chance.choice(("", "", "/", f"{outside}/", "/proc/self/root/", "a/../"))
    if chance.random() < 0.05:
        start = chance.choice(("../", "../../", f"a/../..{outside}/", "/../../"))
    return start + "/".join(parts)


def member(chance: random.Random, outside: Path) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path(chance, outside))
    info.type = chance.choice(KINDS[:5] * 12 + KINDS)
    info.mode = chance.choice((0o644, 0o7777, 0, 0o4755))
    info.uid = chance.choice((0, 1000, 2**31))
    info.mtime = chance.choice((0, 1, 2**33))
    info.linkname = path(chance, outside)
    info.devmajor, info.devminor = chance.choice(((0, 0), (1, 3), (8, 0)))
    content = chance.randbytes(chance.choice((0, 0, 5, 700)))
    if not info.isreg():
        content = chance.choice((b"", b"", content))
    info.size = len(content)
    if chance.random() < 0.05:
        headers = {
            "SCHILY.xattr." + chance.choice(ATTRIBUTES): "y",
            chance.choice(("path", "linkpath")): path(chance, outside),
            chance.choice(("size", "uid", "mtime", "GNU.sparse.map", "GNU.sparse.realsize")): (
                chance.choice(("0", "-1", "99999999999999999999", "1,2", "nan", "1e400"))
            ),
        }
        info.pax_headers = dict(chance.sample(sorted(headers.items()), chance.randint(1, 3)))
    return info, content


def archive(chance: random.Random, outside: Path) -> bytes:
    out = io.BytesIO()
    format = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for _ in range(chance.randint(1, 12)):
            info, content = member(chance, outside)
            try:
                tar.addfile(info, io.BytesIO(content))
            except (ValueError, tarfile.HeaderError):
                continue  # no header of this format takes such a value
    return damaged(chance, out.getvalue())


def damaged(chance: random.Random, content: bytes) -> bytes:
    """One in five is cut or has bytes turned, one in four is compressed (before or after)."""
    packers: tuple[Callable[[bytes], bytes], ...] = (
        lambda plain: gzip.compress(plain, 1),
        zstandard.compress,
    )
    early, late = chance.random() < 0.12, chance.random() < 0.12
    if early:
        content = chance.choice(packers)(content)
    if chance.random() < 0.2:
        turned = bytearray(content[: chance.randint(1, len(content))])
        for _ in range(chance.randint(0, 4)):
            turned[chance.randrange(len(turned))] = chance.randrange(256)
        content = bytes(turned)
    return chance.choice(packers)(content) if late else content


def picture(folder: Path) -> list[tuple[str, int, int, int, int]]:
    """Everything below a folder, with what a stray write would change."""
    found = []
    for top, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            status = os.lstat(Path(top, name))
            found.append(
                (
                    str(Path(top, name)),
                    status.st_mode,
                    status.st_nlink,
                    status.st_size,
                    status.st_mtime_ns,
                )
            )
    return sorted(found)


def test_nothing_gets_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for name in ("a", "b", "l", "A"):
        (outside / name).mkdir(parents=True)
        (outside / name / "a").write_text("kept")
    root = tmp_path / "below/deep/root"
    root.parent.mkdir(parents=True)
    before = picture(outside)
    unpacked = refused = 0
    for seed in range(ARCHIVES):
        content = archive(random.Random(seed), outside)
        root.mkdir()
        try:
            unpack(io.BytesIO(content).read, root, limits=LIMITS)
            unpacked += 1
        except UnpackError:
            refused += 1
        except Exception as error:
            pytest.fail(f"archive of seed {seed}: {error!r}")
        assert os.listdir(root.parent) == ["root"], f"seed {seed}"
        shutil.rmtree(root)
        if seed % 50 == 0 or seed == ARCHIVES - 1:
            assert picture(outside) == before, f"an archive up to seed {seed} wrote outside"
            assert os.listdir(tmp_path / "below") == ["deep"]
    assert unpacked > ARCHIVES // 10 and refused > ARCHIVES // 10
    print(f"{unpacked} unpacked, {refused} refused, none wrote outside")


def bomb(entries: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(entries):
            tar.addfile(tarfile.TarInfo(f"f{number}"))
    return out.getvalue()


def test_a_bomb_of_entries_meets_the_limit(tmp_path: Path) -> None:
    content = gzip.compress(bomb(1200))
    with pytest.raises(UnpackError, match="more than 1000 entries.*--max-layer-entries"):
        unpack(io.BytesIO(content).read, tmp_path, limits=LIMITS)
    assert len(os.listdir(tmp_path)) == 1000


def test_a_bomb_of_zeros_meets_the_limit(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 64 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(UnpackError, match="larger than 4194304 bytes.*--max-layer-size"):
        unpack(io.BytesIO(out.getvalue()).read, tmp_path, limits=LIMITS)
    assert (tmp_path / "zeros").stat().st_size <= 4 << 20


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    """Links into links would let each entry go a path's length deeper."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        below = ""
        for number in range(10):
            name = below + "/".join("d" * 400)
            info = tarfile.TarInfo(f"{name}/x")
            tar.addfile(info)
            link = tarfile.TarInfo(f"l{number}")
            link.type, link.linkname = tarfile.SYMTYPE, name
            tar.addfile(link)
            below = f"l{number}/"
    with pytest.raises(UnpackError, match="too deep"):
        unpack(io.BytesIO(out.getvalue()).read, tmp_path)
    assert remove_tree(tmp_path)  # pytest couldn't
