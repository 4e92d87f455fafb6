"""qemu-guest-agent: the few commands that Cove asks of it (QEMU's qga/qapi-schema.json)."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from desktop.failure import Failure


class GuestAgent:
    """Speaks to the guest's agent; each command opens and closes the socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def shut_down(self) -> None:
        """Ask for a power-off. The agent doesn't answer this command, the guest goes away."""
        await self._execute("guest-shutdown", {"mode": "powerdown"}, answers=False)

    async def set_time(self) -> None:
        """Set the guest's clock to the host's, after a pause during which it stood."""
        await self._execute("guest-set-time", {"time": time.time_ns()})

    async def trim(self) -> None:
        """Give back to the host what the guest's file systems no longer use."""
        await self._execute("guest-fstrim", {}, timeout=120)

    async def _execute(
        self,
        command: str,
        arguments: dict[str, Any],
        *,
        answers: bool = True,
        timeout: float = 5.0,
    ) -> Any:
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
                try:
                    await _synchronise(reader, writer)
                    _send(writer, command, arguments)
                    await writer.drain()
                    return await _answer(reader) if answers else None
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError, ValueError, EOFError) as error:
            raise Failure(
                f"The VM's agent didn't do {command}.", str(error) or "It doesn't answer."
            ) from error


def _send(writer: asyncio.StreamWriter, command: str, arguments: dict[str, Any]) -> None:
    writer.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")


async def _synchronise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Skip what an earlier client left unread: `guest-sync` echoes a number of ours."""
    mark = secrets.randbelow(1 << 31)
    # 0xFF resets the agent's parser, in case an earlier client left half a command
    writer.write(b"\xff")
    _send(writer, "guest-sync", {"id": mark})
    while True:
        line = await reader.readline()
        if not line:
            raise EOFError("it closed the connection")
        with suppress(ValueError, AttributeError):
            if json.loads(line.lstrip(b"\xff")).get("return") == mark:
                return


async def _answer(reader: asyncio.StreamReader) -> Any:
    line = await reader.readline()
    if not line:
        raise EOFError("it closed the connection")
    answer = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"].get("desc", "it refused"))
    return answer.get("return")
