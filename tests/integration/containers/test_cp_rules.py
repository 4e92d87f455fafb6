"""Docker's rules for paths in `cp`: names, trailing slashes, links, what is read-only, owners."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root

SET_UP = (
    "mkdir -p /d/sub; echo f >/d/f; ln -s sub /d/ls; ln -s f /d/lf; ln -s loop /loop; "
    "ln -s nosuch /dangle; echo x >/v/x; ln -s /v/x /tovol"
)


class Box:
    """A container with files, asked by the bare API."""

    def __init__(self, engine: NativeEngine, client: Any, *options: str) -> None:
        self.name = f"cp{uuid4().hex[:10]}"
        self.engine, self.client = engine, client
        script = f"{SET_UP}; touch /v/ready; sleep 600"
        engine.docker(
            "run", "-d", "--name", self.name, "-v", f"{self.name}:/v", *options,
            "busybox", "sh", "-c", script,
        )  # fmt: skip

    def _ask(self, method: str, **options: Any) -> Any:
        url = self.client.api._url("/containers/{0}/archive", self.name)
        return getattr(self.client.api, method)(url, **options)

    def stat(self, path: str) -> dict[str, Any]:
        answer = self._ask("head", params={"path": path})
        header = answer.headers.get("X-Docker-Container-Path-Stat")
        return json.loads(base64.b64decode(header)) if header else {"status": answer.status_code}

    def get(self, path: str) -> list[str] | tuple[int, str]:
        answer = self._ask("get", params={"path": path})
        if answer.status_code != 200:
            return answer.status_code, answer.json()["message"].replace(self.name, "BOX")
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            return archive.getnames()

    def put(self, path: str, *entries: tuple[str, str, int], **flags: int) -> tuple[int, str]:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name, text, owner in entries:
                info = tarfile.TarInfo(name)
                info.uid = info.gid = owner
                info.size = len(text)
                if not text:
                    info.type = tarfile.DIRTYPE
                archive.addfile(info, io.BytesIO(text.encode()))
        answer = self._ask("put", params={"path": path, **flags}, data=content.getvalue())
        text = answer.json()["message"].replace(self.name, "BOX") if answer.content else ""
        return answer.status_code, text

    def sh(self, script: str) -> str:
        return self.engine.docker("exec", self.name, "sh", "-c", script).stdout


@pytest.fixture(scope="module")
def client(native_engine: NativeEngine) -> Iterator[Any]:
    with closing(native_engine.client()) as client:
        yield client


@pytest.fixture(scope="module", params=["running", "stopped"])
def box(request: pytest.FixtureRequest, native_engine: NativeEngine, client: Any) -> Iterator[Box]:
    box = Box(native_engine, client)
    box.sh("while ! [ -e /v/ready ]; do sleep 0.01; done")
    if request.param == "stopped":
        native_engine.docker("stop", "-t", "0", box.name)
    yield box
    native_engine.docker("rm", "-f", box.name)
    native_engine.docker("volume", "rm", box.name)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/d/sub", ["sub"]),
        ("/d/sub/", ["sub"]),
        ("/d/sub/.", ["."]),
        ("d/f", ["f"]),
        ("/d/ls", ["ls"]),
        ("/d/ls/", ["ls"]),
        ("/d/ls/.", ["."]),
        ("/v/x", ["x"]),
        ("/tovol", ["tovol"]),
    ],
)
def test_names_in_the_tar(box: Box, path: str, names: list[str]) -> None:
    assert box.get(path) == names


@pytest.mark.parametrize(
    ("path", "name", "target"),
    [
        ("/d/sub/", "sub", ""),
        ("/d/sub/.", ".", ""),
        ("/d/sub/..", "..", ""),
        ("/", "/", ""),
        ("/d/lf", "lf", "/d/f"),
        ("/dangle", "dangle", "/nosuch"),
        ("/tovol", "tovol", "/v/x"),
        ("/d/ls/", "ls", ""),
    ],
)
def test_stat(box: Box, path: str, name: str, target: str) -> None:
    found = box.stat(path)
    assert (found.get("name"), found.get("linkTarget")) == (name, target), found


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nosuch", 404, "Could not find the file /nosuch in container BOX"),
        ("/d/f/", 500, "lstat /d/f/: not a directory"),
        ("/d/f/x", 500, "lstat /d/f/x: not a directory"),
        ("/loop", 500, "evalSymlinksInScope: too many links in /loop"),
        ("", 400, "bad parameter: pathcannot be empty"),
    ],
)
def test_paths_that_lead_nowhere(box: Box, path: str, status: int, words: str) -> None:
    assert box.get(path) == (status, words)


def test_what_is_in_the_way(box: Box) -> None:
    keep = {"noOverwriteDirNonDir": 1}
    assert box.put("/d", ("sub", "x", 0), **keep) == (
        500, 'cannot overwrite directory "sub" with non-directory "/d"',
    )  # fmt: skip
    assert box.put("/d", ("f", "", 0), **keep) == (
        500, 'cannot overwrite non-directory "f" with directory "/d"',
    )  # fmt: skip
    assert box.put("/loop", ("x", "x", 0)) == (500, "EvalSymlinks: too many links")
    assert box.put("/dangle", ("x", "x", 0))[0] == 404
    assert box.put("/d/f", ("x", "x", 0)) == (400, "extraction point is not a directory")


def test_the_whole_root_comes_without_the_kernel(box: Box) -> None:
    names = box.get("/")
    assert {"./d/f", "./v/x", "./proc", "./etc/hostname"} <= set(names)
    assert not any(str(name).startswith(("./proc/", "./sys/")) for name in names)


def test_files_of_the_engine_are_there(native_engine: NativeEngine, box: Box) -> None:
    shown = native_engine.docker("inspect", box.name, "-f", "{{.Config.Hostname}}").stdout
    assert box.stat("/etc/hostname")["size"] == len(shown)
    assert box.stat("/etc/hosts")["size"] > 100


@pytest.mark.parametrize(("user", "owner"), [("", "7:7"), ("3:4", "3:4")])
def test_owners(native_engine: NativeEngine, client: Any, user: str, owner: str) -> None:
    box = Box(native_engine, client)
    other = Box(native_engine, client, "--user", user) if user else box
    try:
        assert other.put("/tmp", ("given", "x", 7)) == (200, "")
        assert other.put("/tmp", ("asked", "x", 7), copyUIDGID=1) == (200, "")
        assert other.sh("stat -c %u:%g /tmp/given /tmp/asked").split() == ["7:7", owner]
    finally:
        for one in {box, other}:
            native_engine.docker("rm", "-fv", one.name)
            native_engine.docker("volume", "rm", one.name)


def test_read_only(native_engine: NativeEngine, client: Any) -> None:
    box = Box(native_engine, client, "-v", "/usr:/ro:ro")
    other = Box(native_engine, client, "--read-only", "-v", "/usr:/ro:ro")
    try:
        for one in (box, other):
            assert one.put("/ro", ("x", "x", 0)) == (400, "mounted volume is marked read-only")
            assert one.put("/v", ("y", "y", 0)) == (200, "")
        assert box.put("/etc", ("x", "x", 0)) == (200, "")
        assert other.put("/etc", ("x", "x", 0)) == (400, "container rootfs is marked read-only")
        assert other.put("/nosuch", ("x", "x", 0))[0] == 404
    finally:
        for one in (box, other):
            native_engine.docker("rm", "-f", one.name)
            native_engine.docker("volume", "rm", one.name)


def test_a_container_that_never_ran(native_engine: NativeEngine) -> None:
    name = f"cp{uuid4().hex[:10]}"
    native_engine.docker("create", "--name", name, "busybox")
    try:
        assert native_engine.docker("cp", f"{name}:/etc/hostname", "-").stdout.startswith(
            "hostname"
        )
        assert "passwd" in native_engine.docker("cp", f"{name}:/etc/passwd", "-").stdout
    finally:
        native_engine.docker("rm", name)
