"""The life of containers: conmon and an OCI runtime, one conmon a container."""

from pathlib import Path
from typing import Any

from engine.runtime.bundle import Bundle
from engine.runtime.execs import ExecRunning
from engine.runtime.resources import Resources
from engine.runtime.running import Running


class Runtime:
    """Creates, starts, signals and deletes containers; every method names its container by id.

    Life: create -> (attach) -> start -> wait -> delete. Containers outlive the engine; after a
    restart `adopt` finds them again.
    """

    def __init__(self, run: Path, *, program: str = "crun", cgroup_parent: str = "/cove") -> None:
        """`run` is a volatile folder of the engine; `program` the OCI runtime's name or path."""
        self.run = run

    async def create(self, bundle: Bundle) -> Running:
        """Write config.json, start conmon and create the container, ready to start.

        Raises RuntimeFailure worded like dockerd ("failed to create task for container: ...").
        """
        raise RuntimeError

    async def start(self, id: str) -> None:
        """Run the container's process. Raises RuntimeFailure."""

    async def kill(self, id: str, signal: int) -> None:
        """Signal the container's first process. NotFound when it's gone."""

    async def pause(self, id: str) -> None:
        """Freeze every process of the container."""

    async def resume(self, id: str) -> None:
        """Thaw what `pause` froze."""

    async def update(self, id: str, resources: Resources) -> None:
        """Change the limits of a running container; zero fields stay as they are."""

    async def delete(self, id: str) -> None:
        """Remove the container's cgroup, state and sockets, killing what is left. Idempotent."""

    async def adopt(self, bundle: Bundle) -> Running | None:
        """Take a container of an earlier engine back; None if it's gone and left no exit file.

        A container that ended meanwhile is returned too: its `wait` answers at once.
        """
        raise RuntimeError

    async def exec(
        self, id: str, process: dict[str, Any], terminal: bool, stdin: bool
    ) -> ExecRunning:
        """Run `process` (from `process.exec_process`) inside; output flows once it's iterated.

        Raises RuntimeFailure "OCI runtime exec failed: ..." with exit_code 126 or 127.
        """
        raise RuntimeError

    async def close(self) -> None:
        """Let go of every file descriptor; containers go on."""
