"""`docker run` by the real CLI on the native engine: streams, exit codes, terminals, limits."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


def name() -> str:
    return f"t-{uuid4().hex[:10]}"


def test_output_and_exit_codes(native_engine: NativeEngine) -> None:
    done = native_engine.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    for code in (0, 1, 42, 255):
        ran = native_engine.docker(
            "run", "--rm", "busybox", "sh", "-c", f"exit {code}", check=False
        )
        assert ran.returncode == code


def test_codes_of_what_cannot_run(native_engine: NativeEngine) -> None:
    missing = native_engine.docker("run", "--rm", "busybox", "nosuch", check=False)
    assert missing.returncode == 127
    assert 'exec: "nosuch": executable file not found in $PATH' in missing.stderr
    folder = native_engine.docker("run", "--rm", "busybox", "/etc", check=False)
    assert folder.returncode == 126
    refused = native_engine.docker("run", "--rm", "--memory", "1m", "busybox", check=False)
    assert refused.returncode == 125
    assert "Minimum memory limit allowed is 6MB" in refused.stderr


def test_a_failed_start_stays_created_with_its_error(native_engine: NativeEngine) -> None:
    who = name()
    native_engine.docker("run", "--name", who, "busybox", "nosuch", check=False)
    with closing(native_engine.client()) as client:
        state = client.api.inspect_container(who)["State"]
        client.api.remove_container(who)
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert "nosuch" in state["Error"]


def test_input_that_ends(native_engine: NativeEngine) -> None:
    text = "line\n" * 20000
    done = native_engine.docker("run", "--rm", "-i", "busybox", "cat", input=text)
    assert done.stdout == text
    counted = native_engine.docker("run", "--rm", "-i", "busybox", "wc", "-c", input="12345")
    assert counted.stdout.strip() == "5"


def test_a_terminal_with_interrupt_and_exit_code(native_engine: NativeEngine) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        ["docker", "run", "--rm", "-it", "busybox", "sh"],
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "DOCKER_HOST": native_engine.url},
        start_new_session=True,
    )
    os.close(child)

    def until(marker: bytes) -> bytes:
        seen, deadline = b"", time.monotonic() + 20
        while marker not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([parent], [], [], 0.2)[0]:
                seen += os.read(parent, 4096)
        return seen

    try:
        until(b"# ")
        os.write(parent, b"tty; echo $((6*7))\n")
        assert b"/dev/pts/" in until(b"42\r\n")
        os.write(parent, b"sleep 100\n")
        time.sleep(0.5)
        os.write(parent, b"\x03")
        until(b"# ")
        os.write(parent, b"exit 5\n")
        assert process.wait(20) == 5
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def test_detach_keys_leave_it_running(native_engine: NativeEngine) -> None:
    who = name()
    native_engine.docker("run", "-dit", "--name", who, "busybox", "cat")
    parent, child = pty.openpty()
    process = subprocess.Popen(
        ["docker", "attach", "--detach-keys", "ctrl-x,y", who],
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "DOCKER_HOST": native_engine.url},
        start_new_session=True,
    )
    os.close(child)
    try:
        time.sleep(0.5)
        os.write(parent, b"\x18")
        time.sleep(0.1)
        os.write(parent, b"y")
        process.wait(20)
        with closing(native_engine.client()) as client:
            assert client.containers.get(who).status == "running"
    finally:
        process.kill()
        process.wait()
        os.close(parent)
        native_engine.docker("rm", "-f", who)


def test_mounts(native_engine: NativeEngine, tmp_path: Path) -> None:
    volume = name()
    (tmp_path / "in").write_text("hello")
    native_engine.docker(
        "run", "--rm", "-v", f"{tmp_path}:/b", "-v", f"{volume}:/v", "busybox",
        "sh", "-c", "cat /b/in > /v/kept; echo back > /b/out",
    )  # fmt: skip
    assert (tmp_path / "out").read_text() == "back\n"
    again = native_engine.docker(
        "run", "--rm", "-v", f"{volume}:/v:ro", "busybox", "cat", "/v/kept"
    )
    assert again.stdout == "hello"
    readonly = native_engine.docker(
        "run", "--rm", "-v", f"{tmp_path}:/b:ro", "busybox", "touch", "/b/x", check=False
    )
    assert "Read-only file system" in readonly.stderr
    file = native_engine.docker(
        "run", "--rm", "-v", f"{tmp_path}/in:/f:ro", "busybox",
        "sh", "-c", "cat /f; echo x > /f", check=False,
    )  # fmt: skip
    assert (file.stdout, "Read-only file system" in file.stderr) == ("hello", True)
    missing = native_engine.docker(
        "run", "--rm", "--mount", "type=bind,src=/nosuch,dst=/x", "busybox", "true", check=False
    )
    assert "bind source path does not exist: /nosuch" in missing.stderr
    native_engine.docker("volume", "rm", volume)


def test_a_new_volume_has_what_the_image_has(native_engine: NativeEngine) -> None:
    volume = name()
    seen = native_engine.docker("run", "--rm", "-v", f"{volume}:/etc", "busybox", "ls", "/etc")
    assert "passwd" in seen.stdout
    native_engine.docker("volume", "rm", volume)


def test_auto_remove_takes_anonymous_volumes(native_engine: NativeEngine) -> None:
    before = native_engine.docker("volume", "ls", "-q").stdout
    native_engine.docker("run", "--rm", "-v", "/data", "busybox", "true")
    deadline = time.monotonic() + 5
    while native_engine.docker("volume", "ls", "-q").stdout != before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_names_in_files_and_environment(native_engine: NativeEngine) -> None:
    done = native_engine.docker(
        "run", "--rm", "-h", "box", "--add-host", "db:1.2.3.4", "--dns", "9.9.9.9",
        "--dns-search", "example.org", "-e", "A=B", "-w", "/new/dir", "busybox",
        "sh", "-c", "hostname; pwd; echo $A; cat /etc/hosts /etc/resolv.conf",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:3] == ["box", "/new/dir", "B"]
    assert "1.2.3.4\tdb" in lines
    assert "nameserver 9.9.9.9" in lines
    assert "search example.org" in lines


def test_limits_reach_the_cgroup(native_engine: NativeEngine) -> None:
    script = (
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max"
        " 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"
    )
    done = native_engine.docker(
        "run", "--rm", "-m", "20m", "--pids-limit", "33", "busybox", "sh", "-c", script
    )
    assert done.stdout.split() == [str(20 << 20), "33"]


def test_out_of_memory_is_told(native_engine: NativeEngine) -> None:
    who = name()
    done = native_engine.docker(
        "run", "--name", who, "-m", "8m", "--memory-swap", "8m", "busybox",
        "sh", "-c", "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo $x | wc -c",
        check=False,
    )  # fmt: skip
    with closing(native_engine.client()) as client:
        state = client.api.inspect_container(who)["State"]
        client.api.remove_container(who)
    assert state["OOMKilled"], (done, state)


def test_only_three_descriptors_are_open(native_engine: NativeEngine) -> None:
    done = native_engine.docker("run", "--rm", "busybox", "sh", "-c", "ls /proc/self/fd")
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_namespaces_of_another_container(native_engine: NativeEngine) -> None:
    who = name()
    native_engine.docker("run", "-d", "--name", who, "--ipc", "shareable", "busybox", "sleep", "60")
    try:
        joined = native_engine.docker(
            "run", "--rm", "--network", f"container:{who}", "--pid", f"container:{who}",
            "--ipc", f"container:{who}", "busybox", "sh", "-c", "hostname; ps | grep 'sleep 60'",
        )  # fmt: skip
        with closing(native_engine.client()) as client:
            own = client.containers.get(who).short_id
        assert joined.stdout.splitlines()[0] == own
        assert "sleep 60" in joined.stdout
    finally:
        native_engine.docker("rm", "-f", who)
