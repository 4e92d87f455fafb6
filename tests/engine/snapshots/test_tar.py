"""The tar reader against archives of Python's writer and against damage."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.snapshots.tar import Reader, Source, TarError, nanoseconds, pax_records
from engine.snapshots.unpack import UnpackError, parts_of

NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
MEMBER = st.tuples(NAME, st.binary(max_size=2000), st.integers(0, 1 << 22), st.integers(0, 1 << 33))


def write(members: list[tuple[str, bytes, int, int]], format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, content, owner, mtime in members:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mtime = len(content), owner, owner, mtime
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def sliced(content: bytes, size: int) -> Source:
    return Source(iter([content[at : at + size] for at in range(0, len(content), size)]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(MEMBER, max_size=4),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 3000),
)
def test_what_is_written_is_read(
    members: list[tuple[str, bytes, int, int]], format: int, size: int
) -> None:
    found = []
    reader = Reader(sliced(write(members, format), size))
    for entry in reader:
        content = b"".join(reader.body())
        found.append((entry.name.decode(), content, entry.uid, entry.mtime // 10**9))
    expected = [(tarfile.TarInfo(name).name, *rest) for name, *rest in members]
    assert [(n.rstrip("/"), *r) for n, *r in found] == [(n.rstrip("/"), *r) for n, *r in expected]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=1500), st.integers(0, 2000), st.binary(min_size=1, max_size=30))
def test_damage_is_a_tar_error_or_read(noise: bytes, at: int, patch: bytes) -> None:
    good = bytearray(write([("a/b", b"x" * 700, 1, 2), ("n" * 200, b"", 0, 0)], tarfile.PAX_FORMAT))
    good[at : at + len(patch)] = patch
    for content in (bytes(good), noise):
        try:
            reader = Reader(sliced(content, 512))
            for entry in reader:
                b"".join(reader.body())
                assert entry.size >= 0
        except TarError:
            continue


def test_bodies_that_nobody_reads_are_passed_over() -> None:
    content = write([("a", b"x" * 1000, 0, 0), ("b", b"y", 0, 0)], tarfile.GNU_FORMAT)
    assert [entry.name for entry in Reader(sliced(content, 700))] == [b"a", b"b"]


@pytest.mark.parametrize("keep", [512 + 3, 1024, 2048])
def test_an_end_without_zeros_is_an_end(keep: int) -> None:
    content = write([("a", b"abc", 0, 0)], tarfile.GNU_FORMAT)[:keep]
    reader = Reader(sliced(content, 512))
    assert [b"".join(reader.body()) for _ in reader] == [b"abc"]


def test_base_256_numbers() -> None:
    content = write([("a", b"", (1 << 40), 0)], tarfile.GNU_FORMAT)
    assert [entry.uid for entry in Reader(sliced(content, 512))] == [1 << 40]


def test_pax_details() -> None:
    assert pax_records(b"13 path=a\nb\n\n") == {b"path": b"a\nb\n"}
    assert nanoseconds(b"12.5") == 12_500_000_000 and nanoseconds(b"-1.5") == -1_500_000_000
    for broken in (b"5 a\n", b"99 path=a\n", b"x path=a\n", b"11 path=ab "):
        with pytest.raises(TarError):
            pax_records(broken)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b"./a//b/", (b"a", b"b")),
        (b"/etc/x", (b"etc", b"x")),
        (b"a/../b", (b"b",)),
        (b".", ()),
    ],
)
def test_paths_are_below_the_root(name: bytes, parts: tuple[bytes, ...]) -> None:
    assert parts_of(name) == parts


@pytest.mark.parametrize("name", [b"..", b"../a", b"a/../../b", b"a\0b"])
def test_paths_that_leave_are_refused(name: bytes) -> None:
    with pytest.raises(UnpackError):
        parts_of(name)
