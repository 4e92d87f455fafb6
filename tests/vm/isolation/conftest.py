"""Containers of both kinds of isolation in the VM of the session, shared by this folder's tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.vm.conftest import VM

IMAGE = "cove/welcome"
KINDS = ("standard", "enhanced")


def new_name() -> str:
    """A name that no other container has."""
    return f"iso-{uuid.uuid4().hex[:10]}"


@dataclass(frozen=True)
class Box:
    """A container that sleeps."""

    vm: VM
    name: str

    def sh(self, script: str, *flags: str) -> str:
        """What a shell prints inside, errors and all, whatever its exit code."""
        argv = ("exec", "-i", *flags, self.name, "sh")
        return self.vm.docker(*argv, input=f"exec 2>&1\n{script}\n", check=False).stdout


def start(vm: VM, *flags: str) -> Box:
    """A new box; the caller removes it."""
    box = Box(vm, new_name())
    vm.docker("run", "-d", "--name", box.name, *flags, IMAGE, "sleep", "3600")
    return box


@pytest.fixture(scope="package")
def running(shared_vm: VM) -> VM:
    """The VM of the session, started."""
    if shared_vm.status()["state"] != "running":
        shared_vm.cove("start", "--headless")
    return shared_vm


@pytest.fixture(scope="package")
def boxes(running: VM) -> Iterator[dict[str, Box]]:
    """A box of the default profile for each kind of isolation; tests leave them as they are."""
    made = {
        kind: start(running, "--security-opt", f"cove.isolation={kind}", "--log-driver", "none")
        for kind in KINDS
    }
    yield made
    if running.status()["state"] == "running":
        running.docker("rm", "-f", *(box.name for box in made.values()), check=False)


@pytest.fixture
def box(boxes: dict[str, Box]) -> Box:
    """The box with standard isolation."""
    return boxes["standard"]


@pytest.fixture
def others_go_on(running: VM, boxes: dict[str, Box]) -> Iterator[None]:
    """After a test that uses something up the other containers are there, and new ones start."""
    yield
    assert all(box.sh("echo on") == "on\n" for box in boxes.values())
    said = running.docker("run", "--rm", IMAGE, "echo", "others go on").stdout
    assert said == "others go on\n"


@pytest.fixture(scope="module")
def engine_stays(running: VM) -> Iterator[None]:
    """The engine is the same process after a module's tests."""
    before = engine_pid(running)
    yield
    assert engine_pid(running) == before


def engine_pid(vm: VM) -> str:
    """The pid of the engine in the VM."""
    return vm.shell("cat /var/lib/cove/engine/engine.lock").strip()
