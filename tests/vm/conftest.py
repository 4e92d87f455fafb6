"""One VM for the whole session, booted from the built image by the real `cove` command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class VM:
    """An instance of Cove: its home, the `cove` command and the docker command bound to it."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        words = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER")}
        return words | {
            "COVE_HOME": str(self.home),
            "COVE_ACCEL": os.environ.get("COVE_ACCEL", "tcg"),
            "DOCKER_HOST": f"unix://{self.home}/run/docker.sock",
            "DOCKER_CONFIG": str(self.home / "docker"),
            "PYTHONPATH": str(REPO),
        }

    def cove(
        self, *args: str, check: bool = True, timeout: float = 240, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `cove ARGS`; with `check` a failing command fails the test with what it said."""
        argv = [sys.executable, "-m", "desktop", *args]
        return self._run(argv, check=check, timeout=timeout, **more)

    def docker(
        self, *args: str, check: bool = True, timeout: float = 120, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGS` through the forwarded socket."""
        return self._run(["docker", *args], check=check, timeout=timeout, **more)

    def status(self) -> dict[str, Any]:
        """What `cove status --json` says."""
        return dict(json.loads(self.cove("status", "--json").stdout))

    def shell(self, command: str, **more: Any) -> str:
        """What a command line prints in the VM."""
        return self.cove("shell", command, stdin=subprocess.DEVNULL, **more).stdout

    def _run(
        self, argv: list[str], *, check: bool, timeout: float, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv,
            env=self.environment | more.pop("env", {}),
            cwd=more.pop("cwd", REPO),
            capture_output=True,
            text=more.pop("text", True),
            timeout=timeout,
            **more,
        )
        if check and done.returncode:
            pytest.fail(f"{argv[-4:]}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


def new_vm() -> VM:
    """An instance that hasn't been started; the socket's path has to be short."""
    return VM(Path(tempfile.mkdtemp(prefix="cvm", dir="/tmp")))


def clean(vm: VM) -> None:
    """End what belongs to the instance, by its recorded pids, and remove its files."""
    vm.cove("stop", check=False)
    for name, key in (("agent.pid", None), ("machine.json", "pid")):
        path = vm.home / "run" / name
        try:
            text = path.read_text()
            os.kill(int(json.loads(text)[key] if key else text), signal.SIGKILL)
        except (OSError, ValueError, KeyError):
            continue
    shutil.rmtree(vm.home, ignore_errors=True)


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    """Until `condition()` is true; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {getattr(condition, '__name__', condition)}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def image() -> Path:
    """The folder of the built image."""
    from desktop.paths import architecture, image_folder

    folder = image_folder()
    if not (folder / "manifest.json").exists():
        pytest.fail(f"no VM image in {folder}: run scripts/build-vm --arch {architecture()}")
    return folder


@pytest.fixture(scope="session")
def shared_vm(image: Path) -> Iterator[VM]:
    """The VM of the session; use `vm`, which starts it again should a test have stopped it."""
    vm = new_vm()
    try:
        yield vm
    finally:
        clean(vm)


@pytest.fixture
def vm(shared_vm: VM) -> VM:
    """A running VM, shared by all tests: leave no containers behind."""
    if shared_vm.status()["state"] != "running":
        shared_vm.cove("start", "--headless")
    return shared_vm
