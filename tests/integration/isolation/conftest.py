"""An engine whose containers have enhanced isolation unless they ask for standard."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.native import NativeEngine, new_engine

SLEEP = ("busybox", "sleep", "600")


class Box:
    """A container of the engine that sleeps, and what its shell says."""

    def __init__(self, engine: NativeEngine, name: str) -> None:
        self.engine = engine
        self.name = name

    def sh(self, script: str, *flags: str, check: bool = True) -> str:
        """What a shell line prints inside; its errors, too."""
        argv = ("exec", *flags, self.name, "sh", "-c", f"{{ {script}; }} 2>&1")
        done = self.engine.docker(*argv, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def document(self) -> dict[str, Any]:
        """Its inspect document."""
        return dict(json.loads(self.engine.docker("inspect", self.name).stdout)[0])

    @property
    def pid(self) -> int:
        return int(self.document()["State"]["Pid"])


class Boxes:
    """Makes boxes and removes them at the end."""

    def __init__(self, engine: NativeEngine) -> None:
        self.engine = engine
        self.names: list[str] = []

    def name(self) -> str:
        """A name that will be removed."""
        self.names.append(f"iso-{uuid.uuid4().hex[:10]}")
        return self.names[-1]

    def run(self, *flags: str, command: tuple[str, ...] = SLEEP) -> Box:
        """A container in the background."""
        name = self.name()
        self.engine.docker("run", "-d", "--name", name, *flags, *command)
        return Box(self.engine, name)


@pytest.fixture(scope="package")
def engine() -> Iterator[NativeEngine]:
    engine = new_engine("--isolation", "enhanced")
    engine.folder.chmod(0o711)  # root inside a container has to pass
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


@pytest.fixture
def boxes(engine: NativeEngine) -> Iterator[Boxes]:
    boxes = Boxes(engine)
    yield boxes
    if boxes.names:
        engine.docker("rm", "-fv", *boxes.names, check=False)


@pytest.fixture
def box(boxes: Boxes) -> Box:
    return boxes.run()
