"""The logs of containers: what is kept, in which order, what a client may ask of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def name(native_engine: NativeEngine) -> Iterator[str]:
    name = f"log{uuid4().hex[:10]}"
    yield name
    native_engine.docker("rm", "-fv", name, check=False)


@pytest.fixture
def client(native_engine: NativeEngine) -> Iterator[docker.DockerClient]:
    client = native_engine.client()
    yield client
    client.close()


def folder_of(engine: NativeEngine, name: str) -> Path:
    return (
        engine.root / "containers" / engine.docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    )


def test_rotated_files_are_compressed(native_engine: NativeEngine, name: str) -> None:
    run = native_engine.docker
    script = (
        "for n in $(seq 1 3000); do echo line $n; [ $((n % 100)) = 0 ] && sleep 0.03; done; sleep 1"
    )
    options = [f"--log-opt={one}" for one in ("max-size=20k", "max-file=4", "compress=true")]
    run("run", "-d", "--name", name, *options, "busybox", "sh", "-c", script)
    followed = run("logs", "-f", name).stdout.split("\n")
    assert followed[0] == "line 1" and followed[-2] == "line 3000"
    files = sorted(one.name for one in folder_of(native_engine, name).glob("container.log*"))
    assert files[0] == "container.log" and len(files) <= 4
    assert "container.log.2.gz" in files
    numbers = [int(line.split()[1]) for line in run("logs", name).stdout.splitlines()]
    assert numbers == list(range(numbers[0], 3001)) and len(numbers) > 500
    tail = run("logs", "--tail", "400", name).stdout.splitlines()
    assert tail == [f"line {n}" for n in range(2601, 3001)]


def test_times_are_exact_to_the_nanosecond(client: docker.DockerClient, name: str) -> None:
    script = "for n in 1 2 3 4 5; do echo $n; sleep 0.02; done"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, name=name)
    container.wait()
    stamps = [line.split()[0].decode() for line in container.logs(timestamps=True).splitlines()]
    assert all(len(one) == 30 and one.endswith("Z") for one in stamps)

    def asked(**bounds: str) -> bytes:
        url = client.api._url("/containers/{0}/logs", container.id)
        answer = client.api._get(url, params={"stdout": 1, **bounds})
        return client.api._get_result_tty(False, answer, False)

    def moment(stamp: str, shift: int) -> str:
        whole, fraction = stamp.rstrip("Z").split(".")
        seconds = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))) - time.timezone
        total = seconds * 10**9 + int(fraction) + shift
        return f"{total // 10**9}.{total % 10**9:09d}"

    third = stamps[2]
    assert asked(since=third) == asked(since=moment(third, 0)) == b"3\n4\n5\n"
    assert asked(since=moment(third, 1)) == b"4\n5\n"
    assert asked(until=third) == asked(until=moment(third, 0)) == b"1\n2\n3\n"
    assert asked(until=moment(third, -1)) == b"1\n2\n"
    assert asked(since=third, until=third) == b"3\n"
    assert asked(since=stamps[0], tail="2") == b"4\n5\n"


def test_every_byte_comes_back(client: docker.DockerClient, name: str) -> None:
    script = (
        "printf 'a\\n\\n\\r\\n'; printf '\\000\\001\\377\\n' ; printf err >&2; "
        "head -c 100000 /dev/zero | tr '\\0' y; echo; printf partial"
    )
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, name=name)
    container.wait()
    wanted = b"a\n\n\r\n\x00\x01\xff\n" + b"y" * 100_000 + b"\npartial"
    assert container.logs(stderr=False) == wanted
    assert container.logs(stdout=False) == b"err"
    assert container.logs(stderr=False, tail=2) == b"y" * 100_000 + b"\npartial"
    assert len(container.logs(stderr=False, timestamps=True).splitlines()) == 6


def test_following_ends_with_the_run(native_engine: NativeEngine, name: str) -> None:
    run = native_engine.docker
    script = "echo run; sleep 0.3; exit 1"
    run("run", "-d", "--name", name, "--restart=on-failure:2", "busybox", "sh", "-c", script)
    assert run("logs", "-f", name, timeout=10).stdout.startswith("run\n")
    run("wait", name)
    deadline = time.monotonic() + 10
    while run("logs", name).stdout != "run\n" * 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_container_that_never_started_and_a_lost_file(
    native_engine: NativeEngine, name: str
) -> None:
    run = native_engine.docker
    run("create", "--name", name, "busybox", "echo", "x")
    for flag in ("-f", "-t", "--tail=5"):
        done = run("logs", flag, name, timeout=10)
        assert (done.stdout, done.stderr) == ("", "")
    run("start", "-a", name)
    (folder_of(native_engine, name) / "container.log").unlink()
    assert run("logs", name).stdout == ""
    run("start", "-a", name)
    assert run("logs", name).stdout == "x\n"


@pytest.mark.parametrize("driver", ["syslog", "journald", "fluentd", "gelf", "awslogs", "splunk"])
def test_drivers_that_are_not_built_in(native_engine: NativeEngine, driver: str) -> None:
    done = native_engine.docker("create", "--log-driver", driver, "busybox", check=False)
    assert done.returncode == 1
    assert f"'{driver}' is not built into this engine: use json-file, local or none" in done.stderr


def test_the_driver_none_keeps_nothing(native_engine: NativeEngine, name: str) -> None:
    done = native_engine.docker("run", "--name", name, "--log-driver=none", "busybox", "echo", "x")
    assert done.stdout == "x\n"
    done = native_engine.docker("logs", name, check=False)
    assert "configured logging driver does not support reading" in done.stderr


def test_the_driver_local(native_engine: NativeEngine, name: str) -> None:
    native_engine.docker("run", "--name", name, "--log-driver=local", "busybox", "echo", "x")
    assert native_engine.docker("logs", name).stdout == "x\n"


def _resident(engine: NativeEngine) -> int:
    assert engine.process is not None
    status = Path(f"/proc/{engine.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def test_a_million_lines_take_no_memory(native_engine: NativeEngine, name: str) -> None:
    script = "yes 0123456789 | head -n 1000000"
    native_engine.docker("run", "--name", name, "-d", "busybox", "sh", "-c", script)
    native_engine.docker("wait", name)
    before = _resident(native_engine)
    argv = ["docker", "-H", native_engine.url, "logs", "-t", name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        process.stdout.read(1 << 16)
        time.sleep(1)  # nobody reads: the engine must wait, not gather
        held = _resident(native_engine)
        lines = process.stdout.read().count(b"\n")
    assert lines > 998_000
    assert max(held, _resident(native_engine)) - before < 40 << 20
