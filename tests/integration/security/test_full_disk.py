"""One container fills the disk that holds everything; the others and the engine go on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.native import NativeEngine, new_engine

pytestmark = pytest.mark.root


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[NativeEngine]:
    """An engine whose root is a file system of 160 MiB; the volatile folder is elsewhere."""
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(160 << 20)
    # no blocks kept for root, as in the VM: there is no reserve that hides the end
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    engine = new_engine()
    engine.flags = ("--run", str(engine.folder / "run"))
    engine.root.mkdir()
    subprocess.run(["mount", "-o", "loop", image, engine.root], check=True)
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        with suppress(Exception):
            engine.docker("rm", "-f", *engine.docker("ps", "-aq").stdout.split(), check=False)
        engine.clean()
        subprocess.run(["umount", "-l", engine.root], capture_output=True)


def test_a_full_disk(engine: NativeEngine) -> None:
    docker = engine.docker
    docker("run", "-d", "--name", "other", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "counter", "busybox", "sleep", "600")
    filled = docker("run", "--name", "hog", "busybox", "dd", "if=/dev/zero", "of=/x", check=False)
    assert "No space left on device" in filled.stderr
    state = json.loads(docker("inspect", "hog").stdout)[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 1)
    # what runs goes on, and can be worked with
    assert docker("exec", "other", "echo", "on").stdout == "on\n"
    assert docker("ps", "-q").stdout.count("\n") == 2
    assert docker("logs", "other").stdout == ""
    refused = docker("create", "--name", "more", "busybox", check=False)
    if refused.returncode:
        assert "no space left on device" in refused.stderr.lower() or "disk" in refused.stderr
    docker("stop", "-t", "0", "counter", check=False)
    engine.restart(kill=True)
    assert docker("exec", "other", "echo", "on").stdout == "on\n"
    # and room can be made, even when others have taken what the engine had kept back
    more = docker("exec", "other", "dd", "if=/dev/zero", "of=/more", "bs=1k", check=False)
    assert "No space left on device" in more.stderr
    docker("rm", "hog")
    docker("exec", "other", "rm", "/more")
    docker("rm", "-f", "counter")
    assert docker("run", "--rm", "busybox", "echo", "room").stdout == "room\n"
    names = docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
    assert set(names) <= {"other", "more"} and "other" in names
