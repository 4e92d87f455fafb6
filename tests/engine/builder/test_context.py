"""Contexts: unpacked safely, known by digest, in any compression."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from engine.builder.archives import is_archive
from engine.builder.context import Context, unpack
from engine.errors import BadRequest
from tests.support.archives import tar_of


def opened(content: bytes, root: Path) -> Context:
    root.mkdir(exist_ok=True)
    return unpack(io.BytesIO(content).read, root)


def member(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def archive(*members: tuple[str, bytes, dict[str, object]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, fields in members:
            member(tar, name, content, **fields)
    return out.getvalue()


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_any_compression(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    context = opened(pack(tar_of({"a": b"one", "d/b": b"two"})), tmp_path)
    assert (tmp_path / "d/b").read_bytes() == b"two"
    assert context.digests == {
        "a": hashlib.sha256(b"one").hexdigest(),
        "d/b": hashlib.sha256(b"two").hexdigest(),
    }
    assert context.read("a") == b"one"
    assert context.read("d") is None and context.read("none") is None


def test_a_name_that_means_deletion_is_left_out(tmp_path: Path) -> None:
    opened(tar_of({".wh.x": b"", "d/.wh..wh..opq": b"", ".wh.d/x": b"", "y": b"1"}), tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["y"]


def test_device_nodes_are_left_out(tmp_path: Path) -> None:
    zero = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}
    disk = {"type": tarfile.BLKTYPE, "devmajor": 8}
    opened(archive(("Dockerfile", b"", zero), ("disk", b"", disk), ("a", b"", {})), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Dockerfile")
    (tmp_path / "null").symlink_to("/dev/null")
    assert Context(tmp_path).read("Dockerfile") is None
    assert Context(tmp_path).read("null") is None


def test_the_last_of_two_members_counts(tmp_path: Path) -> None:
    content = archive(("a", b"first", {}), ("./a", b"second", {}))
    assert opened(content, tmp_path).digests == {"a": hashlib.sha256(b"second").hexdigest()}
    assert (tmp_path / "a").read_bytes() == b"second"


def test_digests_are_never_those_of_another_file(tmp_path: Path) -> None:
    # the second member lands in d/a, through the link: what was known of d/a is wrong then
    content = archive(
        ("d/a", b"first", {}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "d"}),
        ("link/a", b"second", {}),
    )
    context = opened(content, tmp_path)
    assert (tmp_path / "d/a").read_bytes() == b"second"
    assert context.digests == {}


@pytest.mark.parametrize(
    "fields",
    [
        [("../out", b"x", {})],
        [("/../out", b"x", {})],
        [("l", b"", {"type": tarfile.LNKTYPE, "linkname": "../out"})],
        [
            ("l", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"}),
            ("l/out", b"x", {}),
        ],
        [
            ("l", b"", {"type": tarfile.SYMTYPE, "linkname": "../.."}),
            ("l/out", b"x", {}),
        ],
    ],
)
def test_nothing_lands_outside(
    fields: list[tuple[str, bytes, dict[str, object]]], tmp_path: Path
) -> None:
    try:
        opened(archive(*fields), tmp_path / "in")
    except BadRequest as error:
        assert "Error processing tar file" in error.message
    assert not Path("/etc/out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_dockerfile_that_is_a_link_out_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "in"
    root.mkdir()
    (root / "Dockerfile").symlink_to("../secret")
    (root / "fifo").symlink_to("/dev/zero")
    context = Context(root)
    assert context.read("Dockerfile") is None
    assert context.read("fifo") is None
    assert context.read("../secret") is None


def test_a_damaged_tar_is_the_client_s_fault(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="Error processing tar file"):
        opened(tar_of({"a": b"1" * 5000})[:3000], tmp_path)
    with pytest.raises(BadRequest, match="Error processing tar file"):
        opened(b"\x1f\x8bno gzip at all", tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tar_of({"a": b"1"}), True),
        (gzip.compress(tar_of({"a": b"1"})), True),
        (lzma.compress(tar_of({"a": b"1"})), True),
        (gzip.compress(b"text"), False),
        (b"", False),
        (b"\0" * 10240, False),
        (b"x" * 600, False),
        (b"\x1f\x8b broken", False),
    ],
)
def test_what_is_an_archive(content: bytes, expected: bool, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(content)
    assert is_archive(place) is expected


def test_owners_don_t_count(tmp_path: Path) -> None:
    if os.getuid():
        return  # only root may give files away
    opened(archive(("a", b"", {"uid": 1234, "gid": 5678})), tmp_path)
    assert (os.stat(tmp_path / "a").st_uid, os.stat(tmp_path / "a").st_gid) == (0, 0)


def test_a_file_reached_through_a_second_name_of_a_link_is_read_again(tmp_path: Path) -> None:
    """Else the cache would take other people's files for it."""
    content = archive(
        ("d", b"", {"type": tarfile.DIRTYPE, "mode": 0o755}),
        ("d/f", b"innocent", {}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "d"}),
        ("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "link"}),
        ("hard/f", b"other", {}),
    )
    context = opened(content, tmp_path / "root")
    assert (context.root / "d/f").read_bytes() == b"other"
    assert context.digests == {}
