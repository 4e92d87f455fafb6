"""Layers are unpacked as they are, and never outside of their folder."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from engine.snapshots.unpack import Unpacked, UnpackError, unpack

pytestmark = pytest.mark.root


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def build(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def apply(content: bytes, root: Path) -> Unpacked:
    root.mkdir(exist_ok=True)
    return unpack(io.BytesIO(content).read, root)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind, linkname=target), b""


def test_everything_a_layer_may_hold(tmp_path: Path) -> None:
    long = "/".join(["deep" * 10] * 8) + "/leaf"
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    xattrs = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
    content = build(
        (member("./", tarfile.DIRTYPE, mode=0o711), b""),
        (member("bin", tarfile.DIRTYPE, mtime=1_000_000_000), b""),
        (member("bin/su", mode=0o4755, uid=7, gid=8, mtime=1234567890.25), b"su"),
        (member("bin/ping", pax_headers=xattrs), b"ping"),
        link("bin/hard", "bin/su", tarfile.LNKTYPE),
        link("sbin", "bin"),
        (member("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666), b""),
        (member("queue", tarfile.FIFOTYPE), b""),
        (member(long), b"long"),
    )
    root = tmp_path / "root"
    result = apply(content, root)
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    su = (root / "bin/su").stat()
    assert stat.S_IMODE(su.st_mode) == 0o4755 and (su.st_uid, su.st_gid) == (7, 8)
    assert su.st_mtime_ns == 1234567890_250000000 and su.st_nlink == 2
    assert os.getxattr(root / "bin/ping", "security.capability") == capability
    assert os.readlink(root / "sbin") == "bin"
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((root / "null").stat().st_mode) == 0o666
    assert stat.S_ISFIFO((root / "queue").stat().st_mode)
    assert (root / long).read_bytes() == b"long"
    assert (root / "bin").stat().st_mtime == 1_000_000_000
    assert result.size == len(b"su") + len(b"ping") + len(b"long")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_the_diff_id_is_of_the_plain_tar(tmp_path: Path, pack: object) -> None:
    import hashlib

    content = build((member("a"), b"x" * 300_000)) + b"\0" * 10240
    result = apply(pack(content), tmp_path / "root")  # type: ignore[operator]
    assert result.diff_id == "sha256:" + hashlib.sha256(content).hexdigest()
    assert (tmp_path / "root/a").stat().st_size == 300_000


def test_whiteouts_become_those_of_overlayfs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    apply(
        build(
            (member("d/.wh.gone"), b""),
            (member("o", tarfile.DIRTYPE), b""),
            (member("o/.wh..wh..opq"), b""),
            (member(".wh.again"), b""),
            (member("again", tarfile.DIRTYPE), b""),
            (member(".wh..wh.plnk"), b""),
        ),
        root,
    )
    gone = (root / "d/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(root / "o", "trusted.overlay.opaque") == b"y"
    assert os.getxattr(root / "again", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(root)) == ["again", "d", "o"]


def test_gnu_formats(tmp_path: Path) -> None:
    """Long names and both sparse formats as GNU tar itself writes them."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(5 << 20)
        file.write(b"middle")
        file.truncate(9 << 20)
    (source / ("n" * 120)).write_text("named")
    for number, options in enumerate((["--format=gnu"], ["--format=pax"])):
        archive = subprocess.run(
            ["tar", "-cS", *options, "-C", source, "."], capture_output=True, check=True
        ).stdout
        assert len(archive) < 1 << 20
        root = tmp_path / f"root{number}"
        result = apply(archive, root)
        assert (root / "sparse").read_bytes() == (source / "sparse").read_bytes()
        assert (root / "sparse").stat().st_blocks * 512 < 1 << 20
        assert (root / ("n" * 120)).read_text() == "named"
        assert result.size == (9 << 20) + 5


def test_links_resolve_inside(tmp_path: Path) -> None:
    """An absolute link among the parents leads to the layer's own root."""
    root = tmp_path / "root"
    apply(
        build(
            (member("usr/lib", tarfile.DIRTYPE), b""),
            link("lib", "/usr/lib"),
            link("up", "../../../../usr"),
            (member("lib/a"), b"a"),
            (member("up/lib/b"), b"b"),
        ),
        root,
    )
    assert sorted(os.listdir(root / "usr/lib")) == ["a", "b"]


def test_later_entries_replace_earlier_ones(tmp_path: Path) -> None:
    root = tmp_path / "root"
    apply(
        build(
            (member("a"), b"first"),
            (member("a"), b"second"),
            (member("d/x"), b"x"),
            (member("d"), b"now a file"),
            link("s", "a"),
            (member("s"), b"own"),
        ),
        root,
    )
    assert (root / "a").read_bytes() == b"second"
    assert (root / "d").read_bytes() == b"now a file"
    assert (root / "s").read_bytes() == b"own" and not (root / "s").is_symlink()


@pytest.mark.parametrize(
    "members",
    [
        [(member("../evil"), b"x")],
        [(member("a/../../evil"), b"x")],
        [link("l", "/etc/passwd", tarfile.LNKTYPE)],
        [link("l", "../../etc/passwd", tarfile.LNKTYPE)],
        [link("loop", "loop"), (member("loop/x"), b"x")],
        [(member("f"), b"x"), (member("f/below"), b"x")],
        [(member(".wh..."), b"")],
    ],
)
def test_what_no_layer_may(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with pytest.raises(UnpackError):
        apply(build(*members), tmp_path / "root")
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("cut", [100, 511, 600, 1500])
def test_a_cut_layer_is_damaged(tmp_path: Path, cut: int) -> None:
    content = build((member("a"), b"x" * 4000))
    with pytest.raises(UnpackError):
        apply(content[:cut], tmp_path / "plain")
    packed = gzip.compress(os.urandom(3000) + content)
    with pytest.raises(UnpackError):
        apply(packed[:cut], tmp_path / "packed")


NAMES = [
    "a",
    "b",
    "a/b",
    "b/a",
    "..",
    "../x",
    "/etc/x",
    "a/../../x",
    "./a",
    "",
    ".",
    "a/.wh.b",
    ".wh.a",
    ".wh..wh..opq",
    "a/.wh..wh..opq",
    "b/../a",
    "//a//b",
    "a/b/c",
    "A",
    "\x00a",
]
TARGETS = ["a", "b", "/", "/etc", "..", "../..", "../../outside", "/tmp", "a/b", ".", "b/..", "",
           "/proc/self/root", "x" * 300]  # fmt: skip
KINDS = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
         tarfile.CHRTYPE, b"9", tarfile.CONTTYPE]  # fmt: skip


def hostile(choose: random.Random) -> bytes:
    members = []
    for _ in range(choose.randint(1, 9)):
        kind = choose.choice(KINDS)
        info = member(choose.choice(NAMES), kind, linkname=choose.choice(TARGETS))
        if choose.random() < 0.1:
            info.pax_headers = {choose.choice(["path", "linkpath"]): choose.choice(TARGETS)}
        if choose.random() < 0.05:
            info.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/../../etc"}
        members.append((info, b"evil" if kind in (tarfile.REGTYPE, b"9") else b""))
    content = bytearray(
        build(*members, format=choose.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    )
    if choose.random() < 0.2:
        for _ in range(3):
            content[choose.randrange(len(content))] = choose.randrange(256)
    return bytes(content)


def surroundings(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Name, mode, size and change time of all that lies around the layer."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        if "layer" not in path.relative_to(folder).parts[:3]:
            status = path.lstat()
            found[str(path)] = (status.st_mode, status.st_size, status.st_ctime_ns)
    return found


def test_hostile_archives_stay_inside(tmp_path: Path) -> None:
    import shutil

    choose = random.Random(4711)
    home = tmp_path / "x" / "y"
    home.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("mine")
    before = surroundings(tmp_path)
    etc = sorted(os.listdir("/etc"))
    refused = 0
    for _ in range(700):
        layer = home / "layer"
        try:
            apply(hostile(choose), layer)
        except UnpackError:
            refused += 1
        shutil.rmtree(layer)
        after = surroundings(tmp_path)
        after[str(home)] = before[str(home)]  # the layer itself came and went in it
        assert after == before
    assert 50 < refused < 690
    assert sorted(os.listdir("/etc")) == etc
    assert not os.path.exists("/etc/x") and not os.path.exists("/x")


def test_overlay_words_are_no_attributes_of_a_layer(tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.note": "ok"}
    root = tmp_path / "root"
    apply(build((member("d", tarfile.DIRTYPE, pax_headers=headers), b"")), root)
    names = os.listxattr(root / "d")
    assert "trusted.overlay.redirect" not in names
