"""Containers that use something up: they meet their end, the others and the engine don't."""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm.conftest import VM, wait_for
from tests.vm.isolation.conftest import IMAGE, Box, new_name
from tests.vm.isolation.programs import program

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("engine_stays", "others_go_on"),
]
FORKS = "b() { b | b & sleep 60; }; b & b & while :; do sleep 60 & done"
MEMORY = "x=0123456789abcdef; while :; do x=$x$x; done"
# takes all of the disk without writing all of it, then the last blocks by writing
DISK = (
    "n=0; for size in 32g 16g 8g 4g 2g 1g 512m 256m 128m 64m 32m 16m 8m 4m 2m 1m; do"
    " while fallocate -l $size /f$n; do n=$((n + 1)); done; rm -f /f$n; done;"
    " dd if=/dev/zero of=/last bs=64k"
)


@pytest.fixture
def name(running: VM) -> Iterator[str]:
    """The name of a container that is removed at the end."""
    name = new_name()
    yield name
    running.docker("rm", "-f", name, check=False)


def state_of(vm: VM, name: str) -> dict[str, Any]:
    return dict(json.loads(vm.docker("inspect", name).stdout)[0]["State"])


def test_a_fork_bomb_under_a_limit_of_processes(running: VM, name: str) -> None:
    running.docker("run", "-d", "--name", name, "--pids-limit", "40", IMAGE, "sleep", "3600")
    running.docker("exec", "-d", name, "sh", "-c", f"({FORKS}) 2>/said >/dev/null </dev/null")

    def said() -> bytes:
        return running.docker("cp", f"{name}:/said", "-", check=False, text=False).stdout

    wait_for(lambda: b"can't fork: Resource temporarily unavailable" in said())
    stats = running.docker("stats", "--no-stream", "--format", "{{.PIDs}}", name).stdout
    assert 20 <= int(stats) <= 40


def test_a_memory_bomb_under_a_limit(running: VM, name: str) -> None:
    argv = ("run", "--name", name, "-m", "32m", IMAGE, "sh", "-c", MEMORY)
    assert running.docker(*argv, check=False).returncode == 137
    assert state_of(running, name)["OOMKilled"] is True


def test_a_memory_bomb_without_a_limit(running: VM, name: str) -> None:
    """All memory that containers may have together: the kernel takes the bomb, nothing else."""
    total = int(running.docker("info", "-f", "{{.MemTotal}}").stdout)
    running.docker("create", "--name", name, IMAGE, "/bomb")
    running.docker("cp", "-", f"{name}:/", input=program_that_takes(total - (4 << 20)), text=False)
    assert running.docker("start", "-a", name, check=False).returncode == 137
    assert state_of(running, name)["OOMKilled"] is True


def program_that_takes(size: int) -> bytes:
    """A tar of /bomb, which has the kernel fill this many bytes of memory: mmap(MAP_POPULATE)."""
    arguments = (0, size, 3, 0x8022, -1, 0)
    arm = platform.machine() in ("aarch64", "arm64")
    number = 222 if arm else 9
    content = program("aarch64" if arm else "x86_64", number, arguments)
    return tar_of("bomb", content, mode=0o755)


def test_a_log_bomb_under_rotation(running: VM, name: str) -> None:
    limits = ("--log-opt", "max-size=100k", "--log-opt", "max-file=2")
    running.docker("run", "-d", "--name", name, *limits, IMAGE, "yes", "a" * 200)
    wait_for(lambda: log_size(running, name) > 0)
    time.sleep(2)
    # between two looks at the log a container may write more than the limit
    assert log_size(running, name) < 64 << 10
    running.docker("pause", name)
    assert len(running.docker("logs", "--tail", "2", name).stdout.splitlines()) == 2


def log_size(vm: VM, name: str) -> int:
    """KiB that the logs of a container take on the VM's disk."""
    id = vm.docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    shown = vm.shell(f"du -ck /var/lib/cove/engine/containers/{id}/*log* | tail -n 1")
    return int(shown.split()[0])


def test_a_disk_filled_by_one_container(running: VM, name: str, box: Box) -> None:
    filled = running.docker("run", "--name", name, IMAGE, "sh", "-c", DISK, check=False)
    assert "No space left on device" in filled.stderr
    assert state_of(running, name)["ExitCode"] == 1
    assert free_kib(running) < 8 << 10  # what the engine has kept back
    # what runs goes on, and can be asked
    assert box.sh("echo on") == "on\n"
    assert box.name in running.docker("ps", "--format", "{{.Names}}").stdout
    told = box.sh("dd if=/dev/zero of=/more bs=4k count=4096")
    assert "No space left on device" in told and free_kib(running) < 64
    # a copy into a container has the reason told
    copied = running.docker(
        "cp",
        "-",
        f"{box.name}:/tmp",
        input=tar_of("large", bytes(4 << 20)),
        text=False,
        check=False,
    )
    assert copied.returncode != 0 and b"no space left on device" in copied.stderr.lower()
    # room can be made when nothing at all is left
    running.docker("rm", name)
    assert free_kib(running) > 1 << 20
    box.sh("rm /more")
    assert running.docker("run", "--rm", IMAGE, "echo", "room").stdout == "room\n"


def free_kib(vm: VM) -> int:
    """What is free on the VM's data disk."""
    return int(vm.shell("df -k /var/lib/cove | tail -n 1").split()[3])


def tar_of(name: str, content: bytes, mode: int = 0o644) -> bytes:
    """A tar of one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), mode
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()
