"""Long work on volumes that ends early, and containers that are at work meanwhile."""

from __future__ import annotations

import http.client
import io
import json
import lzma
import os
import random
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine, new_engine
from tests.support.unix_http import Connection, Gone, ask

pytestmark = pytest.mark.root

IMAGE = Path(__file__).with_name("btrfs.img.xz")  # an empty file system of 32 MB
LARGE = 400 << 20
READ = "/cove/volumes/ram/file?path=/file"


def name_of() -> str:
    return f"b-{uuid4().hex[:12]}"


def place(engine: NativeEngine, name: str) -> Path:
    return engine.root / "volumes" / name / "_data"


def folders(engine: NativeEngine) -> set[str]:
    return set(os.listdir(engine.root / "volumes"))


def volumes(engine: NativeEngine) -> set[str]:
    return set(engine.docker("volume", "ls", "-q").stdout.split())


def eventually(what: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def volume(native_engine: NativeEngine) -> Iterator[str]:
    name = name_of()
    native_engine.docker("volume", "create", name)
    yield name
    native_engine.docker("rm", "-f", f"{name}-c", check=False)
    native_engine.docker("volume", "rm", "-f", name)


def fill(engine: NativeEngine, name: str, size: int = LARGE) -> None:
    """A file of real blocks, quickly."""
    with open(place(engine, name) / "large", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        for offset in range(0, size, 1 << 20):
            os.pwrite(file.fileno(), b"x", offset)


@contextmanager
def request(
    engine: NativeEngine, method: str, path: str, body: Any = None
) -> Iterator[http.client.HTTPConnection]:
    with closing(Connection(engine.socket)) as connection:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        yield connection


def test_a_clone_whose_client_goes_leaves_nothing(native_engine: NativeEngine, volume: str) -> None:
    fill(native_engine, volume)
    before, new = folders(native_engine), name_of()
    body = json.dumps({"Name": new})
    with request(native_engine, "POST", f"/cove/volumes/{volume}/clone", body) as connection:
        answer = connection.getresponse()
        assert json.loads(answer.readline())["Copied"] == 0
        eventually(lambda: folders(native_engine) != before)
    eventually(lambda: folders(native_engine) == before)
    assert new not in volumes(native_engine)
    native_engine.docker("volume", "rm", volume)  # nothing holds it any more


def test_an_export_whose_client_goes_lets_the_volume_go(
    native_engine: NativeEngine, volume: str
) -> None:
    fill(native_engine, volume)
    with request(native_engine, "GET", f"/cove/volumes/{volume}/export") as connection:
        assert len(connection.getresponse().read(100_000)) == 100_000
        done = native_engine.docker("volume", "rm", volume, check=False)
        assert f"remove {volume}: volume is in use - [cove-export-" in done.stderr
    eventually(lambda: not native_engine.docker("volume", "rm", volume, check=False).returncode)


@pytest.mark.parametrize("there", [False, True])
def test_an_import_that_breaks_off_leaves_nothing(
    native_engine: NativeEngine, volume: str, there: bool
) -> None:
    """It ends where a whole archive could, too: between two members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(200):
            info = tarfile.TarInfo(f"file{number}")
            info.size = 5000
            tar.addfile(info, io.BytesIO(bytes(5000)))
    whole = out.getvalue()
    (place(native_engine, volume) / "old").write_text("kept")
    before = folders(native_engine)
    name = volume if there else name_of()
    with closing(Connection(native_engine.socket)) as connection:
        connection.putrequest("PUT", f"/cove/volumes/{name}/import?replace=1")
        connection.putheader("Content-Length", str(len(whole)))
        connection.endheaders()
        connection.send(whole[: 100 * (512 + 5120)])
        eventually(lambda: folders(native_engine) != before)
    eventually(lambda: folders(native_engine) == before)
    assert (name in volumes(native_engine)) == there
    assert os.listdir(place(native_engine, volume)) == ["old"]


def test_a_write_that_breaks_off_changes_nothing(native_engine: NativeEngine, volume: str) -> None:
    file = place(native_engine, volume) / "file"
    file.write_text("old")
    with closing(Connection(native_engine.socket)) as connection:
        connection.putrequest("PUT", f"/cove/volumes/{volume}/file?path=/file")
        connection.putheader("Content-Length", "5000000")
        connection.endheaders()
        connection.send(b"n" * 1_000_000)
        time.sleep(0.1)
    eventually(lambda: not native_engine.docker("volume", "prune", "-f").returncode)
    assert file.read_text() == "old"
    assert os.listdir(file.parent) == ["file"]


def test_readers_see_the_old_file_or_the_new_one(native_engine: NativeEngine, volume: str) -> None:
    file = place(native_engine, volume) / "file"
    file.write_bytes(b"0" * 300_000)
    seen: set[bytes] = set()
    ending = threading.Event()

    def read() -> None:
        while not ending.is_set():
            content = file.read_bytes()
            assert len(content) == 300_000
            seen.add(content[:1] if content == content[:1] * 300_000 else b"mixed")

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 10):
        path = f"/cove/volumes/{volume}/file?path=/file"
        assert ask(native_engine.socket, "PUT", path, b"%d" % number * 300_000)[0] == 200
    ending.set()
    thread.join()
    assert b"mixed" not in seen and len(seen) > 1


SWAP = (
    "mkdir -p /d/a/sub /d/k && touch /d/a/sub/own && ln -s /etc /d/l && ln -s {outside} /d/m && "
    "while :; do mv /d/a /d/k/a; mv /d/m /d/a; mv /d/a /d/m; mv /d/k/a /d/a; done"
)


def test_a_container_that_swaps_folders_for_links_leads_nowhere(
    native_engine: NativeEngine, volume: str, tmp_path: Path
) -> None:
    """Every way in is tried while a folder is a link to the host's for half of the time."""
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/own").write_text("host")
    (outside / "secret").write_text("host")
    script = SWAP.format(outside=outside)
    native_engine.docker(
        "run", "-d", "--name", f"{volume}-c", "-v", f"{volume}:/d", "busybox", "sh", "-c", script
    )
    eventually(lambda: (place(native_engine, volume) / "k").exists())
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a/sub/imported"))
    base = f"/cove/volumes/{volume}"
    statuses: set[int] = set()
    for number in range(60):
        for method, path, body in (
            ("GET", "tree?path=/a", None),
            ("GET", "file?path=/a/sub/own", None),
            ("GET", "file?path=/a/secret", None),
            ("PUT", f"file?path=/a/sub/w{number}", b"x"),
            ("DELETE", "file?path=/a/sub/own", None),
            ("DELETE", "file?path=/a/sub&recursive=1", None),
            ("PUT", "import", archive.getvalue()),
            ("GET", "export", None),
            ("GET", "size", None),
        ):
            status, text = ask(native_engine.socket, method, f"{base}/{path}", body)
            statuses.add(status)
            assert b"host" not in text
    clone = name_of()
    assert ask(native_engine.socket, "POST", f"{base}/clone", {"Name": clone})[0] == 200
    try:
        found = subprocess.run(
            ["grep", "-r", "host", place(native_engine, clone)], capture_output=True, text=True
        )
        assert found.stdout == ""
    finally:
        native_engine.docker("volume", "rm", "-f", clone)
    assert sorted(os.listdir(outside)) == ["secret", "sub"]
    assert os.listdir(outside / "sub") == ["own"]
    assert 200 in statuses


def test_the_engine_killed_during_clones(tmp_path: Path) -> None:
    """A clone is there whole, or not at all; what was acknowledged is there."""
    engine = new_engine()
    try:
        engine.start()
        engine.docker("volume", "create", "source")
        for number in range(300):
            (place(engine, "source") / f"f{number}").write_bytes(b"%d" % number * 500)
        wanted = sorted(os.listdir(place(engine, "source")))
        promised: list[str] = []
        for _ in range(4):
            killing = threading.Timer(random.uniform(0.01, 0.4), engine.stop, [9])
            killing.start()
            with suppress(Gone):
                while True:
                    new = name_of()
                    status, text = ask(
                        engine.socket, "POST", "/cove/volumes/source/clone", {"Name": new}
                    )
                    if b'"Volume"' in text:
                        promised.append(new)
            killing.join()
            engine.start()
            there = volumes(engine)
            assert {"source", *promised} <= there
            eventually(lambda: folders(engine) == volumes(engine))
            for name in there:
                assert sorted(os.listdir(place(engine, name))) == wanted
    finally:
        engine.clean()


def test_a_volume_in_use_over_a_kill_of_the_engine() -> None:
    """Its mount is the running container's, and goes with the last one."""
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        engine.docker(
            "volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "ram"
        )
        script = "echo first >/ram/file; exec sleep 99"
        use = ("-v", "ram:/ram", "-v", "plain:/plain", "busybox", "sh", "-c")
        engine.docker("run", "-d", "--name", "one", *use, script)
        eventually(lambda: ask(engine.socket, "GET", READ)[1] == b"first\n")
        engine.restart(kill=True)
        assert ask(engine.socket, "GET", READ)[1] == b"first\n"
        assert engine.docker("run", "--rm", *use, "cat /ram/file").stdout == "first\n"
        path = "/cove/volumes/plain/import?replace=1"
        assert ask(engine.socket, "PUT", path, bytes(1024))[0] == 409
        engine.docker("rm", "-f", "one")
        assert ask(engine.socket, "PUT", path, bytes(1024))[0] == 200
        assert engine.docker("run", "--rm", *use, "ls /ram").stdout == ""
        engine.docker("run", "-d", "--name", "two", *use, script)
        pid = int(engine.docker("inspect", "-f", "{{.State.Pid}}", "two").stdout)
        engine.stop(9)
        os.kill(pid, 9)
        engine.start()
        assert ask(engine.socket, "GET", READ)[0] == 404
    finally:
        engine.clean()


def test_a_clone_shares_its_blocks_where_the_disk_can() -> None:
    engine = new_engine()
    engine.root.mkdir()
    image = engine.folder / "disk"
    image.write_bytes(lzma.decompress(IMAGE.read_bytes()))
    subprocess.run(["mount", "-o", "loop", image, engine.root], check=True)
    try:
        engine.start()
        engine.docker("volume", "create", "source")
        content = random.Random(1).randbytes(9 << 20)
        (place(engine, "source") / "file").write_bytes(content)
        os.sync()
        free = os.statvfs(engine.root).f_bavail
        assert free * 4096 < 3 * len(content)
        for number in range(4):  # which the disk wouldn't hold as bytes
            body = {"Name": f"clone{number}"}
            text = ask(engine.socket, "POST", "/cove/volumes/source/clone", body)[1]
            assert b'"Volume"' in text, text
            assert (place(engine, f"clone{number}") / "file").read_bytes() == content
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            info = tarfile.TarInfo("large")
            info.size = 40 << 20
            tar.addfile(info, io.BytesIO(random.Random(2).randbytes(info.size)))
        before = volumes(engine)
        status, text = ask(engine.socket, "PUT", "/cove/volumes/full/import", archive.getvalue())
        assert (status, b"no space left on device" in text) == (500, True)
        assert folders(engine) == volumes(engine) == before
    finally:
        engine.clean()
