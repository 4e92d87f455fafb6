"""The standard streams of a container or exec, as its attached clients see them."""

from collections.abc import AsyncIterator
from typing import Protocol

STDOUT = 1
STDERR = 2


class Streams(Protocol):
    """One client's view: iterate for output, write for input; closing twice is safe.

    Items are (STDOUT | STDERR, data); a terminal's output is all STDOUT. The iteration ends
    when the process closed its output (or ended).
    Bounds of items mean nothing.
    """

    async def write(self, data: bytes) -> None:
        """Give input; waits for room. Raises BrokenPipeError when the process closed stdin."""

    async def close_stdin(self) -> None:
        """End the input."""

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]: ...

    def close(self) -> None:
        """Let go; the process goes on."""
