"""The engine is killed at bad moments; what it promised still holds afterwards."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine, new_engine

pytestmark = pytest.mark.root


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


def test_containers_outlive_the_engine(engine: NativeEngine) -> None:
    script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 33"
    engine.docker("run", "-d", "--name", "counter", "busybox", "sh", "-c", script)
    engine.docker("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 1; exit 7")
    engine.docker("run", "-di", "--name", "cat", "busybox", "cat")
    engine.docker("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1")
    time.sleep(0.3)
    engine.stop(signal.SIGKILL)
    time.sleep(1.5)
    engine.start()
    names = engine.docker("ps", "--format", "{{.Names}}").stdout.split()
    assert sorted(names) == ["cat", "counter"]
    assert engine.docker("wait", "short").stdout.strip() == "7"
    assert engine.docker("exec", "cat", "echo", "in").stdout == "in\n"
    assert engine.docker("wait", "counter").stdout.strip() == "33"
    logged = engine.docker("logs", "counter").stdout.split()
    assert logged == [str(number) for number in range(1, 41)]
    assert engine.docker("inspect", "gone", check=False).returncode == 1
    engine.docker("stop", "-t", "0", "cat")
    engine.docker("start", "cat")


def test_policies_and_removals_last(engine: NativeEngine) -> None:
    engine.docker("run", "-d", "--restart", "always", "--name", "ever", "busybox", "sleep", "600")
    engine.docker(
        "run", "-d", "--restart", "unless-stopped", "--name", "halt", "busybox", "sleep", "9"
    )
    engine.docker("stop", "-t", "0", "halt")
    engine.docker("create", "--name", "away", "busybox", "true")
    engine.docker("rm", "away")
    with closing(engine.client()) as client:
        pid = client.api.inspect_container("ever")["State"]["Pid"]
    engine.restart(kill=True)
    with closing(engine.client()) as client:
        assert client.api.inspect_container("ever")["State"]["Pid"] == pid
    rows = engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    assert sorted(rows) == ["ever running", "halt exited"]


class _Connection(http.client.HTTPConnection):
    """One request a connection: nothing is left open when the engine dies under it."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def _ask(engine: NativeEngine, method: str, path: str, body: object = None) -> dict[str, str]:
    with closing(_Connection(engine.socket)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        text = connection.getresponse().read()
    return json.loads(text) if text.startswith(b"{") else {}


def _work(engine: NativeEngine, ending: threading.Event) -> None:
    """A client that creates, starts, execs, renames and removes until told to end."""
    config = {"Image": "busybox", "Cmd": ["sleep", "30"]}
    while not ending.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            id = _ask(engine, "POST", "/containers/create", config)["Id"]
            _ask(engine, "POST", f"/containers/{id}/start")
            session = _ask(engine, "POST", f"/containers/{id}/exec", {"Cmd": ["true"]})["Id"]
            _ask(engine, "POST", f"/exec/{session}/start", {"Detach": True})
            _ask(engine, "POST", f"/containers/{id}/rename?name=x-{uuid4().hex[:12]}")
            _ask(engine, "DELETE", f"/containers/{id}?force=1")
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(170)
def test_kills_under_load_leave_nothing_behind(engine: NativeEngine) -> None:
    random.seed(7)
    ending = threading.Event()
    clients = [threading.Thread(target=_work, args=(engine, ending)) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(12):
            time.sleep(random.uniform(0.1, 0.9))
            engine.restart(kill=True)
    finally:
        ending.set()
        for client in clients:
            client.join(20)
    left = engine.docker("ps", "-aq", "--no-trunc").stdout.split()
    deadline = time.monotonic() + 5
    while {entry.name for entry in (engine.root / "containers").iterdir()} != set(left):
        assert time.monotonic() < deadline  # removed folders are cleared in the background
        time.sleep(0.05)
    snapshots = {entry.name for entry in (engine.root / "snapshots").iterdir()}
    assert {name for name in snapshots if not name.startswith(".")} == set(left)
    running = engine.docker("ps", "-q", "--no-trunc").stdout.split()
    assert _monitored(engine) == set(running)
    for id in left:
        engine.docker("rm", "-f", id)
    assert _monitored(engine) == set()


def _monitored(engine: NativeEngine) -> set[str]:
    """The ids of the containers that a conmon of this engine watches."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"conmon") and str(engine.root).encode() in b" ".join(words):
                found.add(words[words.index(b"-c") + 1].decode())
    return found
