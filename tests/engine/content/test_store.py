"""The blob store: ingest, follow, commit, sweep."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from engine.content import digest as digests
from engine.content.store import DigestMismatch, Store

ABC = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_commit_by_digest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ingest = store.ingest()
    ingest.write(b"a")
    assert not store.has(ABC)
    ingest.write(b"bc")
    blob = ingest.commit(ABC)
    ingest.close()
    assert (blob.digest, blob.size) == (ABC, 3)
    assert store.read(ABC) == b"abc" and store.verify(ABC) and list(store.list()) == [ABC]
    assert store.remove(ABC) == 3 and store.remove(ABC) == 0


def test_other_bytes_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ingest = store.ingest()
    ingest.write(b"other")
    with pytest.raises(DigestMismatch):
        ingest.commit(ABC)
    ingest.close()
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_damaged_blob_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(b"abc")
    store.path(ABC).write_bytes(b"abd")
    assert not store.verify(ABC)


def test_what_a_killed_engine_left_is_swept(tmp_path: Path) -> None:
    ingest = Store(tmp_path).ingest()
    ingest.write(b"half")
    ingest.close()
    Store(tmp_path)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_reader_follows_a_growing_blob(tmp_path: Path) -> None:
    ingest = Store(tmp_path).ingest()
    seen = bytearray()

    def follow() -> None:
        while piece := ingest.read_at(len(seen), 3):
            seen.extend(piece)

    reader = threading.Thread(target=follow)
    reader.start()
    for _ in range(5):
        ingest.write(b"wxyz")
    ingest.finish()
    reader.join(5)
    ingest.abort()
    ingest.close()
    assert bytes(seen) == b"wxyz" * 5


def test_a_reader_gets_the_writers_failure(tmp_path: Path) -> None:
    ingest = Store(tmp_path).ingest()
    ingest.fail(ConnectionError("cut"))
    with pytest.raises(ConnectionError, match="cut"):
        ingest.read_at(0, 1)
    ingest.abort()
    ingest.close()


@pytest.mark.parametrize("text", ["", "sha256:../../etc/passwd", "sha256:AB", "md5:abc", ABC[:-1]])
def test_only_digests_name_blobs(tmp_path: Path, text: str) -> None:
    with pytest.raises(digests.InvalidDigest):
        Store(tmp_path).path(text)


def test_chain_ids() -> None:
    # the example of the OCI image specification: a chain id hashes the one below and the diff id
    first, second = digests.of(b"1"), digests.of(b"2")
    chain = digests.chain_ids([first, second])
    assert chain == (first, digests.of(f"{first} {second}".encode()))
