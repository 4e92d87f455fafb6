"""Hostile Dockerfiles, contexts, repositories and servers reach nothing but their own build."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support.archives import tar_of
from tests.support.native import NativeEngine, new_engine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


@pytest.fixture
def client(engine: NativeEngine) -> Iterator[Any]:
    with closing(engine.client()) as client:
        yield client


def build(client: Any, context: bytes, **query: Any) -> str:
    """All that a build says."""
    answer = client.api._post(client.api._url("/build"), data=context, params=query)
    lines = (json.loads(line) for line in answer.text.splitlines() if line)
    return "".join(line.get("stream", line.get("error", line.get("message", ""))) for line in lines)


def test_mount_points_are_not_removed_through_links(client: Any, tmp_path: Path) -> None:
    """A deletion hides the mount point's stub: the runtime makes one that a command can move."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero").touch()
    dockerfile = (
        "FROM busybox\nRUN mkdir /way\nRUN rmdir /way\nRUN --mount=type=tmpfs,target=/way/empty "
        "--mount=type=bind,source=Dockerfile,target=/way/zero "
        f"mv /way /moved; ln -s {tmp_path} /way; ls -d /moved/zero\n"
    )
    said = build(client, tar_of({"Dockerfile": dockerfile.encode()}), nocache=1)
    assert "/moved/zero" in said and "Successfully built" in said
    assert sorted(os.listdir(tmp_path)) == ["empty", "zero"]


def test_the_cache_takes_no_files_for_others(client: Any) -> None:
    """A member that lies elsewhere than its name says isn't known by what lay there before."""
    stamp = uuid4().hex.encode()
    dockerfile = b"FROM busybox\nCOPY d/f /f\nRUN cat /f\n"
    honest = tar_of({"Dockerfile": dockerfile, "d/f": stamp})
    out = io.BytesIO(honest)
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name, kind, target in (("l", tarfile.SYMTYPE, "d"), ("h", tarfile.LNKTYPE, "l")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
        info = tarfile.TarInfo("h/f")
        info.size, info.mode = 5, 0o755
        tar.addfile(info, io.BytesIO(b"other"))
    assert stamp.decode() not in build(client, out.getvalue())
    assert stamp.decode() in build(client, honest)


def git(folder: Path, *words: str) -> str:
    names = ("-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *names, *words],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": os.devnull},
    )
    return done.stdout.strip()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a web server with a folder's files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_repository_runs_nothing(client: Any, tmp_path: Path) -> None:
    """It holds what would be the settings of a user whose home were the checkout."""
    work, bare, mark = tmp_path / "work", tmp_path / "bare/x.git", tmp_path / "mark"
    work.mkdir()
    bare.parent.mkdir()
    git(work, "init", "-q")
    settings = f"[core]\n\tsshCommand = touch {mark};\n\tgitProxy = touch {mark}\n"
    (work / "Dockerfile").write_text("FROM busybox\n")
    for name in (".gitconfig", ".config/git/config"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(settings)
    (work / ".gitmodules").write_text('[submodule "s"]\n\tpath = s\n\turl = ssh://host.invalid/y\n')
    git(work, "add", ".")
    git(work, "commit", "-qm", "one")
    commit = git(work, "rev-parse", "HEAD")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{commit},s")
    git(work, "commit", "-qm", "two")
    git(tmp_path, "clone", "-q", "--bare", str(work), str(bare))
    git(bare, "update-server-info")
    with served(bare.parent) as address:
        said = build(client, b"", remote=f"{address}/x.git")
        assert "unable to 'git submodule'" in said
        for remote in ("-oProxyCommand=x@h:y.git", "ssh://-oProxyCommand=x/y", "ext::sh://x.git"):
            assert "Successfully" not in build(client, b"", remote=remote)
        for ref in ("--upload-pack=x", "-x"):
            assert "invalid git ref" in build(client, b"", remote=f"{address}/x.git#{ref}")
    assert not mark.exists()


@contextmanager
def dripping() -> Iterator[str]:
    """The address of a server whose answers never end, a byte at a time."""
    ending = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: 99999\r\n\r\n"
            )
            while not ending.wait(0.2):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=answer, args=(connection,))
                    threads.append(thread)
                    thread.start()

        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ending.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("kind", ["add", "pull"])
def test_slow_servers_hold_up_nobody_else(engine: NativeEngine, client: Any, kind: str) -> None:
    """More of them than the process has threads in its pool."""
    with dripping() as address:
        context = tar_of({"Dockerfile": f"FROM busybox\nADD http://{address}/x /x\n".encode()})
        paths = {
            "add": [f"/build?n={number}" for number in range(24)],
            "pull": [f"/images/create?fromImage={address}/x&tag=t{n}" for n in range(24)],
        }
        waiting = []
        for path in paths[kind]:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(engine.socket))
            body = context if kind == "add" else b""
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            waiting.append(connection)
        time.sleep(1)
        begun = time.monotonic()
        client.containers.list(all=True)
        client.images.list()
        client.df()
        assert client.containers.run("busybox", "echo on", remove=True) == b"on\n"
        assert time.monotonic() - begun < 8
        for connection in waiting:
            connection.close()


def resident(engine: NativeEngine) -> int:
    """The engine's memory in MiB."""
    assert engine.process is not None
    status = Path(f"/proc/{engine.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) >> 10


def test_output_without_end(engine: NativeEngine, client: Any) -> None:
    before = resident(engine)
    command = f"yes {'x' * 100} | head -c 200000000; echo the end"
    context = tar_of({"Dockerfile": f"FROM busybox\nRUN {command}\n".encode()})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        head = (
            f"POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(context)}\r\n\r\n"
        )
        connection.sendall(head.encode() + context)
        assert connection.recv(100)  # and then nothing more is read
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not client.images.list(all=True):
            time.sleep(0.1)
        assert client.ping()
        assert resident(engine) - before < 150
    said = build(client, context, nocache=1)
    assert "[output clipped, log limit 16MiB reached]" in said and "Successfully built" in said
    assert "the end" not in said.partition("Step 2/2")[2].partition("\n")[2]
    assert len(said) < 18 << 20


def test_folders_too_deep_for_a_layer(client: Any) -> None:
    script = "i=0; while [ $i -lt 1500 ]; do mkdir d; cd d; i=$((i+1)); done"
    said = build(client, tar_of({"Dockerfile": f"FROM busybox\nRUN {script}\n".encode()}))
    assert said.endswith("folders are nested too deep to make a layer of them")


def test_a_cache_with_hostile_content(engine: NativeEngine, client: Any, tmp_path: Path) -> None:
    """Links in a cache lead nowhere outside, and a folder of any depth can be pruned."""
    (tmp_path / "kept").write_text("kept")
    name = uuid4().hex
    mount = f"RUN --mount=type=cache,id={name},target=/c"
    script = "cd /c; i=0; while [ $i -lt 3000 ]; do mkdir d; cd d; i=$((i+1)); done"
    dockerfile = (
        f"FROM busybox\n{mount} ln -s {tmp_path} /c/l; ln -s / /c/root\n{mount} {script}\n"
        f"{mount} ls /c/l/kept; true\n"
    )
    said = build(client, tar_of({"Dockerfile": dockerfile.encode()}))
    assert "ls: /c/l/kept: No such file" in said
    engine.docker("builder", "prune", "-af")
    assert (tmp_path / "kept").read_text() == "kept"
    assert not list((engine.root / "builds/mounts").iterdir())


def test_the_image_browser_survives_odd_questions(engine: NativeEngine, client: Any) -> None:
    assert engine.process is not None
    dockerfile = (
        b"FROM busybox\nRUN mkdir /t; mkfifo /t/fifo; mknod /t/zero c 1 5; ln -s / /t/root; "
        b"echo content > /t/file\n"
    )
    build(client, tar_of({"Dockerfile": dockerfile}), t="odd:1")
    folder = Path(f"/proc/{engine.process.pid}/fd")

    def ask(path: str, rest: str = "") -> tuple[int, str]:
        url = client.api.base_url + f"/cove/images/odd:1/file?path={quote(path)}{rest}"
        answer = client.api.get(url, timeout=5)
        return answer.status_code, answer.text

    assert ask("/t/file") == (200, "content\n")
    for path in ("/t/fifo", "/t/zero", "/t/root", "/t", "/t/../etc/passwd", "/t/\0"):
        assert ask(path)[0] == 400, path
    for path in ("/t/root/etc/passwd", f"/t/{'n' * 300}", "/t/file/x"):
        assert ask(path)[0] == 404, path
    for rest, text in (("&offset=-3&limit=3", "con"), ("&limit=-1", ""), ("&limit=0", "")):
        assert ask("/t/file", rest) == (200, text)
    assert ask("/t/file", f"&offset={10**30}") == (200, "")
    assert ask("/t/file", f"&offset=4&limit={10**30}") == (200, "ent\n")
    for _ in range(20):
        assert ask("/t/file", "&limit=x")[0] == 400
    assert not [path for path in folder.iterdir() if "/layers/" in os.readlink(path)]


def many_rules() -> bytes:
    """A context whose ignore file takes minutes."""
    rules = b"*a*a*a*a*a*a*a*a*a*b\n**/*a*a*/**/a*a*a*b\n" * 2000
    files = {f"{'a' * 200}{number}": b"" for number in range(200)}
    return tar_of({"Dockerfile": b"FROM busybox\nCOPY . /x\n", ".dockerignore": rules, **files})


def huge_file() -> bytes:
    """A context with a file of 2 TiB, all of it a hole."""
    info = tarfile.TarInfo("z")
    sparse = {"major": "1", "minor": "0", "realsize": str(2 << 40), "name": "z"}
    info.pax_headers = {f"GNU.sparse.{name}": value for name, value in sparse.items()}
    no_pieces = b"0\n".ljust(512, b"\0")
    info.size = len(no_pieces)
    rest = tar_of({"Dockerfile": b"FROM busybox\nCOPY . /x\n"})
    return info.tobuf(format=tarfile.PAX_FORMAT) + no_pieces + rest


@pytest.mark.parametrize("make", [many_rules, huge_file])
def test_long_work_ends_with_its_client(
    engine: NativeEngine, client: Any, make: Callable[[], bytes]
) -> None:
    context = make()
    contexts = engine.root / "builds/contexts"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        head = f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(context)}\r\n\r\n"
        connection.sendall(head.encode() + context)
        time.sleep(1)
        assert list(contexts.iterdir())
        assert client.ping()
    deadline = time.monotonic() + 10
    while list(contexts.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(contexts.iterdir())


@pytest.mark.parametrize(
    "step",
    [
        "RUN --mount=type=tmpfs,target=/proc true",
        "RUN --mount=type=cache,target=/link/kernel true",
        "VOLUME /link\nRUN true",
    ],
)
def test_nothing_is_mounted_over_proc(client: Any, step: str) -> None:
    dockerfile = f"FROM busybox\nRUN ln -s /proc/sys /link\n{step}\n"
    said = build(client, tar_of({"Dockerfile": dockerfile.encode()}))
    assert "cannot be mounted because it is inside /proc" in said


def test_mounts_of_hostile_images_stay_inside(client: Any) -> None:
    """Links of a stage lead to its own files, or nowhere."""
    for source, said in (
        ("/etc", "source=of the stage"),
        ("/proc", "failed to compute cache key"),
        ("/up", "source=of the stage"),
        ("/etc/passwd", "source of a cache mount is no folder"),
    ):
        dockerfile = (
            "FROM busybox AS a\nRUN echo source=of the stage > /etc/mark; ln -s /etc /e;"
            " ln -s ../../../../etc /up; rm -rf /p; ln -s /proc/1/root/etc /p\nFROM busybox\n"
            f"RUN --mount=type=cache,from=a,source={source.replace('/proc', '/p')},"
            f"id={uuid4().hex},target=/m cat /m/mark\n"
        )
        assert said in build(client, tar_of({"Dockerfile": dockerfile.encode()})), source
