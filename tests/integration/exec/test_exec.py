"""Exec sessions by the real clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import docker
import pytest
from docker.errors import APIError

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def box(native_engine: NativeEngine) -> Iterator[Any]:
    with closing(native_engine.client()) as client:
        container = client.containers.run("busybox", "sleep 600", detach=True)
        yield container
        container.remove(force=True)


def test_streams_codes_and_settings(native_engine: NativeEngine, box: Any) -> None:
    done = native_engine.docker(
        "exec", "-w", "/tmp", "-e", "A=B", "-u", "5:6", box.id, "sh", "-c",
        "pwd; echo $A; id -u; id -g; echo err >&2; exit 9", check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["/tmp", "B", "5", "6"]
    assert (done.stderr, done.returncode) == ("err\n", 9)


def test_what_cannot_run(native_engine: NativeEngine, box: Any) -> None:
    missing = native_engine.docker("exec", box.id, "nosuch", check=False)
    assert missing.returncode == 127
    assert 'exec: "nosuch": executable file not found in $PATH' in missing.stdout
    assert native_engine.docker("exec", box.id, "/etc", check=False).returncode == 126
    nobody = native_engine.docker("exec", "-u", "nosuch", box.id, "true", check=False)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "unable to find user nosuch: no matching entries in passwd file" in nobody.stderr
    stopped = native_engine.docker("exec", "nosuch", "true", check=False)
    assert "No such container: nosuch" in stopped.stderr


def test_input(native_engine: NativeEngine, box: Any) -> None:
    text = "x" * 300_000
    done = native_engine.docker("exec", "-i", box.id, "cat", input=text)
    assert done.stdout == text


def test_inspect_and_list(box: Any) -> None:
    api: docker.APIClient = box.client.api
    id = api.exec_create(box.id, ["sh", "-c", "sleep 0.4; exit 3"])["Id"]
    assert api.exec_inspect(id)["ExitCode"] is None
    api.exec_start(id, detach=True)
    running = api.exec_inspect(id)
    assert running["Running"] and running["Pid"] > 0
    assert api.inspect_container(box.id)["ExecIDs"] == [id]
    deadline = time.monotonic() + 5
    while api.exec_inspect(id)["Running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert api.exec_inspect(id)["ExitCode"] == 3
    assert api.inspect_container(box.id)["ExecIDs"] is None
    with pytest.raises(APIError, match="has already run"):
        api.exec_start(id)
    with pytest.raises(APIError, match="No such exec instance"):
        api.exec_inspect("nosuch")


def test_terminal_and_resize(box: Any) -> None:
    api: docker.APIClient = box.client.api
    id = api.exec_create(box.id, ["sh", "-c", "sleep 0.5; stty size"], tty=True)["Id"]
    stream = api.exec_start(id, tty=True, stream=True)
    api.exec_resize(id, height=33, width=77)
    assert b"".join(stream).strip() == b"33 77"


def test_a_long_output_nobody_reads_does_not_block_the_process(box: Any) -> None:
    api: docker.APIClient = box.client.api
    id = api.exec_create(box.id, ["sh", "-c", "head -c 3000000 /dev/zero; exit 2"])["Id"]
    api.exec_start(id, detach=True)
    deadline = time.monotonic() + 10
    while api.exec_inspect(id)["Running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert api.exec_inspect(id)["ExitCode"] == 2
