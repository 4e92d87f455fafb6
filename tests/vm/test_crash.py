"""QEMU is killed right after an act was told as done: the disk has to hold it."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.vm.conftest import VM, clean, new_vm, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
IMAGE = "cove/welcome"
BIG = 6 << 20


@pytest.fixture(scope="module")
def own(image: Path) -> Iterator[VM]:
    """A VM of this file's own: it dies again and again."""
    vm = new_vm()
    try:
        start(vm)
        yield vm
    finally:
        clean(vm)


def start(vm: VM) -> None:
    """Start; nothing gets to the disk then but what the engine asks for, however long we take."""
    vm.cove("start", "--headless")
    idle = "echo 0 > /proc/sys/vm/dirty_writeback_centisecs"
    vm.shell(f"mount -o remount,commit=3600 /var/lib/cove && {idle}")


def crash(vm: VM) -> None:
    """End QEMU without a word to the guest, as a loss of power would, and start again."""
    os.kill(vm.status()["machine_pid"], signal.SIGKILL)
    wait_for(lambda: vm.status()["state"] == "failed")
    before = len(vm.cove("logs", "engine").stdout)
    start(vm)
    told = vm.cove("logs", "engine").stdout[before:]
    complaints = [line for line in told.splitlines() if " ERROR " in line or "Traceback" in line]
    assert complaints == []


def archive(content: bytes) -> bytes:
    """A root file system of two files as tar."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in ("data/one", "data/two"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def states(vm: VM) -> dict[str, str]:
    """Each container's state with its exit code."""
    names = vm.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
    if not names:
        return {}
    shown = json.loads(vm.docker("inspect", *names).stdout)
    return {
        each["Name"][1:]: f"{each['State']['Status']} {each['State']['ExitCode']}" for each in shown
    }


def test_all_that_was_told_as_done_is_there(own: VM) -> None:
    content = os.urandom(BIG)
    image = own.docker("import", "-", "crash:imported", input=archive(content), text=False)
    image_id = image.stdout.decode().strip()
    own.docker("tag", IMAGE, "crash:tagged")
    own.docker("tag", IMAGE, "crash:untagged")
    own.docker("rmi", "crash:untagged")
    own.docker("network", "create", "--subnet", "10.77.0.0/24", "crashnet")
    own.docker("volume", "create", "full")
    write = "head -c 3000000 /dev/zero | tr '\\0' x > /v/x; sync"
    own.docker("run", "--rm", "-v", "full:/v", IMAGE, "sh", "-c", write)
    own.docker("volume", "create", "gone")
    own.docker("volume", "rm", "gone")
    own.docker("run", "-d", "--name", "ran", IMAGE, "sleep", "1000")
    own.docker("run", "-d", "--name", "ever", "--restart", "always", IMAGE, "sleep", "1000")
    own.docker("run", "--name", "ended", IMAGE, "sh", "-c", "exit 7", check=False)
    own.docker("create", "--name", "old", IMAGE, "sh", "-c", "exit 5")
    own.docker("rename", "old", "new")
    own.docker("run", "-d", "--name", "away", IMAGE, "sleep", "1000")
    own.docker("rm", "-f", "away")
    own.docker("run", "-d", "--name", "late", IMAGE, "sleep", "1000")
    crash(own)
    wait_for(lambda: states(own)["ever"] == "running 0")
    assert states(own) == {
        "ran": "exited 137",
        "ever": "running 0",
        "ended": "exited 7",
        "new": "created 0",
        "late": "exited 137",
    }
    assert own.docker("start", "-a", "new", check=False).returncode == 5
    own.docker("start", "late")
    assert own.docker("exec", "late", "echo", "in").stdout == "in\n"
    own.docker("rm", "-f", *states(own))
    tags = own.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert {"crash:imported", "crash:tagged", f"{IMAGE}:latest"} == set(tags)
    assert own.docker("volume", "ls", "-q").stdout.split() == ["full"]
    run = ["run", "--rm", "--network", "crashnet", "-v", "full:/v", "crash:tagged"]
    sizes = "wc -c < /v/x; tr -d x < /v/x | wc -c"
    assert own.docker(*run, "sh", "-c", sizes).stdout.split() == ["3000000", "0"]
    own.docker("create", "--name", "holds", image_id, "x")
    exported = own.docker("export", "holds", text=False).stdout
    own.docker("rm", "holds")
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        for name in ("data/one", "data/two"):
            file = tar.extractfile(name)
            assert file is not None and file.read() == content


def test_layers_that_were_not_on_the_disk_and_an_exit_waited_for(own: VM) -> None:
    saved = own.docker("save", IMAGE, text=False).stdout
    own.docker("rmi", "-f", "crash:tagged", check=False)
    own.docker("rmi", IMAGE)
    own.docker("load", input=saved, text=False)
    own.docker("run", "-d", "--name", "waited", IMAGE, "sh", "-c", "sleep 1; exit 33")
    assert own.docker("wait", "waited").stdout.strip() == "33"
    crash(own)
    assert states(own) == {"waited": "exited 33"}
    assert own.docker("start", "-a", "waited", check=False).returncode == 33
    own.docker("rm", "waited")
    assert "Welcome to Cove" in own.docker("run", "--rm", IMAGE).stdout


def test_a_busy_engine(own: VM) -> None:
    """Whatever was answered before the end is there; what wasn't may be, and is whole then."""

    def make(number: int) -> str:
        done = own.docker("create", "--name", f"c{number}", IMAGE, "true", check=False)
        return f"c{number}" if done.returncode == 0 else ""

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(make, number) for number in range(16)]
        deadline = time.monotonic() + 60
        while sum(each.done() for each in asked) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(own.status()["machine_pid"], signal.SIGKILL)
        for each in asked:
            each.cancel()
        answered = {each.result() for each in asked if not each.cancelled()} - {""}
    wait_for(lambda: own.status()["state"] == "failed")
    own.cove("start", "--headless")
    assert len(answered) >= 6
    found = states(own)
    assert answered <= set(found)
    for name in sorted(found)[-2:]:
        own.docker("start", "-a", name)
    own.docker("rm", *found)
