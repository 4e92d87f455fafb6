"""What a process inside sees of the modes that its container was given."""

from __future__ import annotations

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


def inside(engine: NativeEngine, script: str, *options: str) -> str:
    return engine.docker("run", "--rm", *options, "busybox", "sh", "-c", script).stdout


@pytest.mark.parametrize("mode", ["private", "shareable"])
def test_shared_memory_holds_no_programs(native_engine: NativeEngine, mode: str) -> None:
    script = "grep ' /dev/shm ' /proc/mounts; df -k /dev/shm | tail -1 | awk '{print $2}'"
    shown = inside(native_engine, script, "--ipc", mode, "--shm-size", "3m")
    assert "rw,nosuid,nodev,noexec" in shown and shown.endswith("\n3072\n")


@pytest.mark.parametrize(("mode", "hidden"), [("private", True), ("host", False)])
def test_a_cgroup_namespace(native_engine: NativeEngine, mode: str, hidden: bool) -> None:
    shown = inside(native_engine, "cat /proc/1/cgroup", "--cgroupns", mode)
    assert ("/cove/" not in shown) is hidden


def test_folders_and_sources_that_cannot_be(native_engine: NativeEngine) -> None:
    for options, words in (
        (("-w", "/etc/passwd"), "Cannot mkdir: /etc/passwd is not a directory"),
        (("-v", "/proc/nosuch/x:/x"), "mkdir /proc/nosuch: no such file or directory"),
    ):
        done = native_engine.docker("run", "--rm", *options, "busybox", "true", check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
    done = native_engine.docker("run", "--rm", "busybox", "/etc", check=False)
    assert (
        done.returncode == 126 and 'exec: "/etc": is a directory: permission denied' in done.stderr
    )
