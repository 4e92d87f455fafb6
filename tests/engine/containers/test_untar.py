"""Tars into a folder: kinds, owners, times, and what is in the way."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from engine.containers.untar import unpack
from engine.errors import BadRequest, EngineError, NotFound

OWNER = (os.getuid(), os.getgid())


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, 0o640, 1_000_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def put(folder: Path, content: bytes, *, keep_kinds: bool = False, piece: int = 700) -> None:
    pieces = (content[at : at + piece] for at in range(0, len(content), piece))
    unpack(str(folder), "box", pieces, keep_kinds=keep_kinds, owner=OWNER)


@pytest.mark.parametrize("packed", [False, True])
def test_every_kind(tmp_path: Path, packed: bool) -> None:
    body = bytes(range(256)) * 20
    content = tar(
        (entry("a/b/file"), body),
        (entry("a", tarfile.DIRTYPE, mode=0o750), b""),
        (entry("a/link", tarfile.SYMTYPE, linkname="b/file"), b""),
        (entry("a/hard", tarfile.LNKTYPE, linkname="a/b/file"), b""),
        (entry("a/fifo", tarfile.FIFOTYPE), b""),
        (entry("./empty"), b""),
    )
    put(tmp_path, gzip.compress(content) if packed else content)
    file = tmp_path / "a/b/file"
    assert file.read_bytes() == body == (tmp_path / "a/link").read_bytes()
    assert (file.stat().st_mode & 0o7777, file.stat().st_mtime) == (0o640, 1_000_000_000)
    assert file.stat().st_ino == (tmp_path / "a/hard").stat().st_ino
    assert (tmp_path / "a/fifo").is_fifo()
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o750
    assert (tmp_path / "a").stat().st_mtime == 1_000_000_000
    assert (tmp_path / "empty").read_bytes() == b""


def test_what_is_in_the_way_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "in"
    outside.write_text("kept")
    (folder / "full/below").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "hard").hardlink_to(outside)
    (folder / "file").write_text("old")
    put(
        folder,
        tar(
            (entry("link"), b"1"),
            (entry("hard"), b"2"),
            (entry("full"), b"3"),
            (entry("file", tarfile.DIRTYPE, mode=0o755), b""),
            (entry("../../up"), b"4"),
        ),
    )
    assert outside.read_text() == "kept"
    assert [(folder / name).read_text() for name in ("link", "hard", "full", "up")] == list("1234")
    assert (folder / "file").is_dir() and not (tmp_path / "up").exists()


def test_kinds_that_are_kept(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(EngineError, match='cannot overwrite directory "folder" with non-dir'):
        put(tmp_path, tar((entry("folder"), b"x")), keep_kinds=True)
    with pytest.raises(EngineError, match='cannot overwrite non-directory "file" with dir'):
        put(tmp_path, tar((entry("file", tarfile.DIRTYPE), b"")), keep_kinds=True)
    put(tmp_path, tar((entry("file"), b"new")), keep_kinds=True)
    assert (tmp_path / "file").read_text() == "new"


def test_a_linked_folder_is_filled_and_the_folder_itself_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    mode = tmp_path.stat().st_mode
    put(
        tmp_path,
        tar(
            (entry(".", tarfile.DIRTYPE, mode=0o700), b""),
            (entry("link", tarfile.DIRTYPE, mode=0o711), b""),
            (entry("link/x"), b"y"),
        ),
    )
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real/x").read_text() == "y"
    assert tmp_path.stat().st_mode == mode


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Could not find the file /no/such in container box"):
        put(Path("/no/such"), b"")
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match="extraction point is not a directory"):
        put(tmp_path / "file", b"")
    whole = tar((entry("f"), bytes(5000)))
    for damaged in (b"no tar at all" * 99, whole[:3000], gzip.compress(whole)[:-20]):
        with pytest.raises(BadRequest, match="Error processing tar file"):
            put(tmp_path, damaged)
    with pytest.raises(BadRequest, match="unhandled tar header type"):
        put(tmp_path, tar((entry("odd", b"Z"), b"")))
    put(tmp_path, b"")
