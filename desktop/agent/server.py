"""The agent's control socket: requests in, answers and states out (see `protocol`)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

from desktop.agent import config
from desktop.agent.host import Host
from desktop.agent.protocol import LINE_LIMIT, Status
from desktop.failure import ExitCode, Failure

log = logging.getLogger(__name__)
Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Server:
    """Serves one Host. `ended` is set once the agent shall go."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()
        self.served = 0
        self._operations: dict[str, Operation] = {
            "status": self._status,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "pause": self._pause,
            "resume": self._resume,
            "config.get": self._config_get,
            "config.set": self._config_set,
            "shell": self._shell,
            "shutdown": self._stop,
        }

    @property
    def clients(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    async def open(self) -> None:
        """Listen; a stale socket of a dead agent is replaced (the lock is ours)."""
        path = self._host.home.agent_socket
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(path), limit=LINE_LIMIT)
        finally:
            os.umask(mask)

    async def close(self) -> None:
        """Stop listening, end what is open."""
        self._hide()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hide(self) -> None:
        """From now on no client finds this agent: the next one starts another."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._host.home.agent_socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            line = await reader.readline()
            if line:
                self.served += 1
                await self._answer(line, reader, writer)
        except (OSError, ValueError):
            log.debug("a client went away", exc_info=True)
        except asyncio.CancelledError:
            if not self.ended.is_set():
                raise
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            request = json.loads(line)
            op, args = request["op"], request.get("args", {})
            if not isinstance(op, str) or not isinstance(args, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            await _send(writer, _refusal(Failure("The request isn't understood.", exit_code=2)))
            return
        if op == "subscribe":
            await self._stream(reader, writer)
            return
        operation = self._operations.get(op)
        if operation is None:
            failure = Failure(
                f"This agent doesn't know {op!r}.",
                "It is of another version than what asked it.",
                "Run `cove restart`.",
            )
            await _send(writer, _refusal(failure))
            return
        work = asyncio.ensure_future(operation(args))
        if args.get("progress"):
            await self._progress(writer, work)
        # Shielded: a client that goes away doesn't stop a VM halfway.
        answer = await asyncio.shield(_outcome(work))
        await _send(writer, answer)
        if op in ("stop", "shutdown") and answer["ok"]:
            self.ended.set()

    async def _progress(self, writer: asyncio.StreamWriter, work: asyncio.Future[Any]) -> None:
        """Send the states until the work is done."""
        with _Latest(self._host) as latest:
            while not work.done():
                turn = asyncio.ensure_future(latest.get())
                await asyncio.wait((turn, work), return_when=asyncio.FIRST_COMPLETED)
                if turn.done():
                    await _send_state(writer, turn.result())
                else:
                    turn.cancel()
            if latest.ready:
                await _send_state(writer, await latest.get())

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = asyncio.ensure_future(reader.read())
        try:
            with _Latest(self._host) as latest:
                await _send_state(writer, self._host.status)
                while not left.done():
                    turn = asyncio.ensure_future(latest.get())
                    await asyncio.wait((turn, left), return_when=asyncio.FIRST_COMPLETED)
                    if turn.done():
                        await _send_state(writer, turn.result())
                    else:
                        turn.cancel()
        finally:
            left.cancel()

    async def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        return self._host.status.to_record()

    async def _start(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._host.start()
        return self._host.status.to_record()

    async def _stop(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._host.stop()
        self._hide()
        return self._host.status.to_record()

    async def _restart(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._host.stop()
        await self._host.start()
        return self._host.status.to_record()

    async def _pause(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._host.pause()
        return self._host.status.to_record()

    async def _resume(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._host.resume()
        return self._host.status.to_record()

    async def _config_get(self, _: dict[str, Any]) -> dict[str, Any]:
        from desktop import settings

        loaded = await asyncio.to_thread(settings.load, self._host.home.settings_file)
        return loaded.to_record()

    async def _config_set(self, args: dict[str, Any]) -> dict[str, Any]:
        changes = args.get("changes")
        if not isinstance(changes, dict):
            raise Failure("The request isn't understood.", exit_code=ExitCode.USAGE)
        now = await asyncio.to_thread(config.change, self._host.home, changes)
        self._host.announce()
        return {"settings": now.to_record(), "restart": bool(self._host.status.pending)}

    async def _shell(self, _: dict[str, Any]) -> dict[str, Any]:
        return await self._host.way_in()


class _Latest:
    """The newest status of a host for one reader; what it was too slow for is skipped."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._status: Status | None = None
        self._event = asyncio.Event()
        self._end: Callable[[], None] = lambda: None

    def __enter__(self) -> _Latest:
        self._end = self._host.watch(self._put)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def ready(self) -> bool:
        return self._event.is_set()

    def _put(self, status: Status) -> None:
        self._status = status
        self._event.set()

    async def get(self) -> Status:
        await self._event.wait()
        self._event.clear()
        assert self._status is not None
        return self._status


async def _outcome(work: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"ok": True, "result": await work}
    except Failure as failure:
        return _refusal(failure)
    except Exception as error:
        log.exception("an operation failed")
        return _refusal(
            Failure(
                "The operation failed.", f"{type(error).__name__}: {error}", "Read the agent's log."
            )
        )


def _refusal(failure: Failure) -> dict[str, Any]:
    return {"ok": False, "error": failure.to_record()}


async def _send(writer: asyncio.StreamWriter, record: dict[str, Any]) -> None:
    writer.write(json.dumps(record).encode() + b"\n")
    await writer.drain()


async def _send_state(writer: asyncio.StreamWriter, status: Status) -> None:
    await _send(writer, {"event": "state", **status.to_record()})
