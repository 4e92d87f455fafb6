"""A process run inside a container, as a child of the engine."""

from engine.runtime.streams import Streams


class ExecRunning:
    """A running exec. `pid` is the process in the engine's pid namespace."""

    pid: int
    streams: Streams

    async def wait(self) -> int:
        """The exit code (128+n for signal n)."""
        raise RuntimeError

    async def resize(self, height: int, width: int) -> None:
        """Tell the terminal its size in characters."""

    async def kill(self, signal: int) -> None:
        """Signal the process; nothing when it's gone."""
