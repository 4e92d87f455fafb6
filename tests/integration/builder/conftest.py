"""An engine of its own for builds, and what it must not leave behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.docker_registry import Registry, start_registry
from tests.support.native import NativeEngine, new_engine


class Builds:
    """Builds by the docker CLI from folders made on the spot."""

    def __init__(self, engine: NativeEngine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    def write(self, dockerfile: str, files: Mapping[str, str] | None = None) -> None:
        for name, content in {"Dockerfile": dockerfile, **(files or {})}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def run(
        self,
        dockerfile: str,
        *args: str,
        files: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """`docker build` of a Dockerfile with files beside it."""
        self.write(dockerfile, files)
        return self.engine.docker("build", *args, str(self.folder), check=check)

    def output(self, dockerfile: str, *args: str, files: Mapping[str, str] | None = None) -> str:
        """What the build's last step printed."""
        said = self.run(dockerfile, *args, files=files).stdout
        last = said.rpartition("\nStep ")[2]
        lines = last.splitlines()[1:]
        return "\n".join(line for line in lines if not line.startswith((" --->", "Successfully")))

    def failure(self, dockerfile: str, *args: str, files: Mapping[str, str] | None = None) -> str:
        """The last line of what a failing build says."""
        done = self.run(dockerfile, *args, files=files, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="package")
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


@pytest.fixture(scope="package")
def registry() -> Iterator[Registry]:
    registry = start_registry()
    yield registry
    registry.stop()


@pytest.fixture
def builds(engine: NativeEngine, tmp_path: Path) -> Builds:
    return Builds(engine, tmp_path)
