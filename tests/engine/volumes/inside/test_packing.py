"""Trees as tars, read back by Python's tarfile and by the engine's own reader."""

import io
import os
import tarfile

import pytest

from engine.snapshots.tar import Reader, Source
from engine.volumes.inside.packing import Packer
from engine.volumes.inside.progress import Progress
from engine.volumes.inside.walk import Stopped


def pack(folder, progress=None) -> bytes:
    out = io.BytesIO()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Packer(out.write, progress or Progress()).run(fd)
    finally:
        os.close(fd)
    return out.getvalue()


def test_members(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").write_text("text")
    os.utime(tmp_path / "sub/file", ns=(0, 5_000_000_007))
    os.link(tmp_path / "sub/file", tmp_path / "zzz")
    (tmp_path / "link").symlink_to("sub/file")
    (tmp_path / ("long" * 50)).write_text("long")
    (tmp_path / os.fsdecode(b"no \xff text")).write_text("bytes")
    os.mkfifo(tmp_path / "pipe")
    packed = pack(tmp_path)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        kinds = {one.name: (one.type, one.linkname) for one in tar.getmembers()}
        assert kinds == {
            ".": (tarfile.DIRTYPE, ""),
            "link": (tarfile.SYMTYPE, "sub/file"),
            "long" * 50: (tarfile.REGTYPE, ""),
            os.fsdecode(b"no \xff text"): (tarfile.REGTYPE, ""),
            "pipe": (tarfile.FIFOTYPE, ""),
            "sub": (tarfile.DIRTYPE, ""),
            "sub/file": (tarfile.REGTYPE, ""),
            "zzz": (tarfile.LNKTYPE, "sub/file"),
        }
        assert tar.getmember("sub/file").pax_headers["mtime"] == "5.000000007"
        assert tar.extractfile("sub/file").read() == b"text"
    times = {one.name: one.mtime for one in Reader(Source(iter([packed])))}
    assert times[b"sub/file"] == 5_000_000_007


@pytest.mark.parametrize("tail", [b"", b"end"])
def test_holes(tmp_path, tail):
    with open(tmp_path / "file", "wb") as file:
        os.pwrite(file.fileno(), b"middle", 3 << 20)
        file.truncate(6 << 20)
        os.pwrite(file.fileno(), tail, 6 << 20)
    packed = pack(tmp_path)
    assert len(packed) < 1 << 16
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getmember("file").size == (6 << 20) + len(tail)
        assert tar.extractfile("file").read() == (tmp_path / "file").read_bytes()
    reader = Reader(Source(iter([packed])))
    for entry in reader:
        if entry.name == b"file":
            assert entry.real_size == (6 << 20) + len(tail)
            content = bytearray(entry.real_size)
            body = b"".join(reader.body())
            for offset, length in entry.holes:
                content[offset : offset + length], body = body[:length], body[length:]
            assert content == (tmp_path / "file").read_bytes()


def test_stopped(tmp_path):
    (tmp_path / "file").touch()
    progress = Progress()
    progress.stop()
    with pytest.raises(Stopped):
        pack(tmp_path, progress)
