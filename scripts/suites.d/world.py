"""What the suites want around them: an engine, a registry in the place of Docker Hub, images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.native import new_engine

REGISTRY = "127.0.0.1:5000"
IMAGES = ("busybox:latest", "alpine:3.10", "alpine:latest", "ubuntu:latest", "hello-world:latest")
_PASSWD = """root:x:0:0:root:/root:/bin/sh
operator:x:11:0:operator:/root:/sbin/nologin
postgres:x:70:70::/var/lib/postgresql:/bin/sh
nobody:x:65534:65534:nobody:/:/sbin/nologin
"""
_GROUP = "root:x:0:root\npostgres:x:70:\nnobody:x:65534:\n"
_FOLDERS = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr/bin", "var/log", "var/opt")


@contextmanager
def registry() -> Iterator[None]:
    """Docker's registry on the port that the suites know."""
    with tempfile.TemporaryDirectory(prefix="suites-", dir="/var/tmp") as folder:
        settings = Path(folder) / "config.yml"
        settings.write_text(
            f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{REGISTRY}'}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        )
        process = subprocess.Popen(
            ["docker-registry", "serve", settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await_registry()
            yield
        finally:
            process.terminate()
            process.wait(10)


def _await_registry() -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the registry did not start")


@contextmanager
def engine() -> Iterator[Path]:
    """A native engine whose Docker Hub is the registry here; its socket."""
    made = new_engine()
    made.root.mkdir()
    (made.root / "daemon.json").write_text(json.dumps({"registry-mirrors": [f"http://{REGISTRY}"]}))
    try:
        made.start()
        yield made.socket
    finally:
        made.clean()


def provide(socket: Path) -> None:
    """Make the images that are missing, each one its own, and have them in the registry too."""
    for name in IMAGES:
        if _docker(socket, "image", "inspect", name, check=False).returncode:
            _make(socket, name)
        there = f"{REGISTRY}/library/{name}"
        _docker(socket, "tag", name, there)
        _docker(socket, "push", "-q", there)
        _docker(socket, "rmi", there)
    _docker(socket, "tag", "ubuntu:latest", "ubuntu:14.04")


def _make(socket: Path, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="suites-") as folder:
        root = Path(folder)
        _fill(root, bash=name.startswith("ubuntu"))
        (root / "etc/made-as").write_text(name)
        archive = subprocess.run(["tar", "-c", "-C", root, "."], capture_output=True, check=True)
        _docker(socket, "import", "-c", 'CMD ["sh"]', "-", name, data=archive.stdout)


def _fill(root: Path, *, bash: bool) -> None:
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    busybox = shutil.which("busybox") or "/bin/busybox"
    shutil.copy(busybox, root / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for applet in applets.stdout.split():
        if applet != "busybox" and not (bash and applet == "bash"):
            (root / "bin" / applet).symlink_to("busybox")
    (root / "usr/bin/env").symlink_to("../../bin/env")
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    (root / "var/log/dmesg").write_text("hello\n")
    if bash:
        _add_program(root, Path("/bin/bash"))


def _add_program(root: Path, program: Path) -> None:
    """Copy a program of this machine with the libraries that it loads."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [Path(word) for word in listed.split() if word.startswith("/")]
    for path in (program, *libraries):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _docker(
    socket: Path, *words: str, check: bool = True, data: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["docker", *words],
        input=data,
        capture_output=True,
        check=check,
        env={**os.environ, "DOCKER_HOST": f"unix://{socket}"},
    )
