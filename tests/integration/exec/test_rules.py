"""Exec sessions as dockerd 28 answers for them: refusals, what is shown, what is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.errors import APIError

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def api(native_engine: NativeEngine) -> Iterator[Any]:
    with closing(native_engine.client()) as client:
        yield client.api


@pytest.fixture(scope="module")
def name(native_engine: NativeEngine) -> Iterator[str]:
    name = f"x{uuid4().hex[:10]}"
    native_engine.docker("run", "-d", "--name", name, "busybox", "sleep", "600")
    yield name
    native_engine.docker("rm", "-f", name)


def post(api: Any, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    answer = api._post_json(api._url(path), data=body or {})
    text = answer.json() if answer.headers.get("Content-Type") == "application/json" else {}
    return answer.status_code, text.get("message") or text.get("Id") or answer.text


def made(api: Any, name: str, **body: Any) -> str:
    body = {"AttachStdout": True, "AttachStderr": True, **body}
    status, id = post(api, f"/containers/{name}/exec", body)
    assert status == 201, id
    return id


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"Cmd": []}, 400, "No exec command specified"),
        ({"Cmd": "echo"}, 400, "cannot unmarshal string into Go struct field ExecOptions.Cmd"),
        ({"Cmd": ["a"], "Tty": 1}, 400, "cannot unmarshal number into Go struct field"),
        ({"Cmd": ["a"], "DetachKeys": "bad-key"}, 500, "Invalid escape keys (bad-key) provided"),
        ({"Cmd": ["a"], "User": "nosuch"}, 400, "unable to find user nosuch"),
    ],
)
def test_refusals(api: Any, name: str, body: dict[str, Any], status: int, words: str) -> None:
    got, text = post(api, f"/containers/{name}/exec", body)
    assert (got, words in text) == (status, True), text


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"Cmd": ["nosuch"]}, 127, 'exec: "nosuch": executable file not found in $PATH'),
        ({"Cmd": ["/etc/passwd"]}, 126, 'exec: "/etc/passwd": permission denied'),
        ({"Cmd": ["true"], "WorkingDir": "rel"}, 128, "Cwd must be an absolute path"),
        ({"Cmd": ["true"], "WorkingDir": "/no"}, 127, 'chdir to cwd ("/no")'),
        ({"Cmd": ["true"], "Env": ["=x"]}, 128, "name cannot be empty"),
    ],
)
def test_what_cannot_start_is_told_in_the_stream(
    api: Any, name: str, body: dict[str, Any], code: int, words: str
) -> None:
    id = made(api, name, **body)
    assert words in api.exec_start(id).decode()
    assert api.exec_inspect(id)["ExitCode"] == code


def test_inspect(api: Any, name: str) -> None:
    id = made(api, name, Cmd=["sh", "-c", "sleep 0.3; exit 5"], User="0", DetachKeys="ctrl-x,y")
    assert api.inspect_container(name)["ExecIDs"] == [id]
    shown = api.exec_inspect(id)
    assert (shown["Running"], shown["ExitCode"], shown["Pid"]) == (False, None, 0)
    assert shown["ProcessConfig"] == {
        "tty": False, "entrypoint": "sh", "arguments": ["-c", "sleep 0.3; exit 5"],
        "privileged": False, "user": "0",
    }  # fmt: skip
    assert shown["DetachKeys"] == "GHk="
    api.exec_start(id, detach=True)
    running = api.exec_inspect(id)
    assert running["Running"] and running["Pid"] > 0
    assert post(api, f"/exec/{id}/start") == (409, f"exec command {id} is already running")
    assert post(api, f"/exec/{id}/resize?h=x&w=1")[1].startswith('invalid resize height "x"')
    deadline = time.monotonic() + 10
    while api.exec_inspect(id)["Running"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert api.exec_inspect(id)["ExitCode"] == 5
    assert api.inspect_container(name)["ExecIDs"] is None
    assert post(api, f"/exec/{id}/start") == (409, f"exec command {id} has already run")
    assert post(api, f"/exec/{id}/resize?h=1&w=1")[0] == 404


def test_containers_that_cannot_run_it(native_engine: NativeEngine, api: Any) -> None:
    other = f"x{uuid4().hex[:10]}"
    native_engine.docker("create", "--name", other, "busybox", "sleep", "600")
    try:
        body = {"Cmd": ["true"]}
        status, text = post(api, f"/containers/{other}/exec", body)
        assert status == 409 and text.endswith(" is not running")
        native_engine.docker("start", other)
        id = made(api, other, **body)
        native_engine.docker("pause", other)
        paused = f"Container {other} is paused, unpause the container before exec"
        assert post(api, f"/containers/{other}/exec", body) == (409, paused)
        with pytest.raises(APIError, match="is paused"):
            api.exec_start(id)
        native_engine.docker("unpause", other)
        native_engine.docker("stop", "-t", "0", other)
        with pytest.raises(APIError, match="is not running"):
            api.exec_start(id)
    finally:
        native_engine.docker("rm", "-f", other)


def children(engine: NativeEngine) -> list[tuple[int, str]]:
    """(pid, state) of the engine's children: Z is one that nobody waited for."""
    assert engine.process is not None
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == engine.process.pid:
                found.append((int(entry.name), fields[0]))
    return found


def test_a_lost_client_leaves_no_zombie(native_engine: NativeEngine, name: str) -> None:
    before = children(native_engine)
    argv = ["docker", "-H", native_engine.url, "exec", "-i", name, "sh", "-c", "yes & sleep 0.5"]
    clients = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ)
        for _ in range(3)
    ]
    time.sleep(0.4)
    for client in clients:
        client.kill()
        client.communicate()
    native_engine.docker("exec", name, "killall", "yes", check=False)
    deadline = time.monotonic() + 10
    while children(native_engine) != before:
        assert time.monotonic() < deadline, (before, children(native_engine))
        time.sleep(0.05)
    shown = json.loads(native_engine.docker("inspect", name).stdout)
    assert shown[0]["ExecIDs"] is None
