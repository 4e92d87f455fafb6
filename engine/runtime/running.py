"""A created or running container, as seen through its conmon."""

from engine.runtime.bundle import Exit
from engine.runtime.streams import Streams


class Running:
    """A container under conmon. `pid` is its first process (0 once it ended before adoption)."""

    pid: int

    async def wait(self) -> Exit:
        """Wait for the end; any number of tasks may wait, before or after it."""
        raise RuntimeError

    async def attach(self) -> Streams:
        """Connect to the streams: all output from now on (from the beginning before start)."""
        raise RuntimeError

    async def resize(self, height: int, width: int) -> None:
        """Tell the terminal its size in characters."""
