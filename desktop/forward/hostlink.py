"""The engine's host link: it asks for ports, this side answers.

Newline-delimited JSON over a stream to `/run/cove/link.sock` in the guest:
`{"id", "op": "publish"|"withdraw", "protocol", "host_ip", "host_port", "guest_port"}` is answered
by `{"id", "ok": true, "host_port"}` or `{"id", "error": sentence}`, with `"absent": true` when
this computer lacks the address; `{"op": "reset"}` isn't answered.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paramiko

from desktop.failure import Failure
from desktop.forward.ports import AddressAbsent
from desktop.forward.ssh import Connection, close

SOCKET = "/run/cove/link.sock"
LINE_LIMIT = 1 << 16
BACK_OFF = (0.1, 0.2, 0.5, 1.0, 2.0)
log = logging.getLogger(__name__)


class HostLink:
    """Keeps the link open as long as the connection to the VM is.

    `handle` runs one request and may block; it answers the words to send back beside `id`, or
    raises Failure. It is called from this link's thread.
    """

    def __init__(
        self, connection: Connection, handle: Callable[[dict[str, Any]], dict[str, Any] | None]
    ) -> None:
        self._connection = connection
        self._handle = handle
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start; connects by itself as often as needed."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name="host link", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End. The thread leaves once its stream ends, which closing the connection does."""
        self._stopped.set()

    def _run(self) -> None:
        tries = 0
        while not self._stopped.is_set():
            try:
                channel = self._connection.channel(SOCKET, paramiko.Channel)
            except Failure:  # the engine isn't up yet, or restarts
                self._stopped.wait(BACK_OFF[min(tries, len(BACK_OFF) - 1)])
                tries += 1
                continue
            tries = 0
            try:
                self._serve(channel)
            except (OSError, EOFError, paramiko.SSHException):
                log.debug("the host link ended", exc_info=True)
            finally:
                close(channel)
            self._stopped.wait(BACK_OFF[0])

    def _serve(self, channel: paramiko.Channel) -> None:
        buffer = b""
        while not self._stopped.is_set():
            received = channel.recv(1 << 16)
            if not received:
                return
            *lines, buffer = (buffer + received).split(b"\n")
            if len(buffer) > LINE_LIMIT:
                raise OSError("a line without an end")
            for line in lines:
                answer = self._answer(line)
                if answer is not None:
                    channel.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any] | None:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            log.error("the engine sent %r: %s", line[:200], error)
            return None
        try:
            result = self._handle(request)
        except Failure as failure:
            sentence = str(failure).replace("\n", " ")
            absent = {"absent": True} if isinstance(failure, AddressAbsent) else {}
            answer = {"id": request.get("id"), "error": sentence, **absent}
            return answer if "id" in request else None
        except Exception as error:  # an answer is owed whatever happens
            log.exception("the request %r failed", request)
            return {"id": request.get("id"), "error": f"{type(error).__name__}: {error}"}
        if "id" not in request:
            return None
        return {"id": request["id"], "ok": True, **(result or {})}


def parse_request(request: dict[str, Any]) -> tuple[str, str, int, int]:
    """Protocol, host address, host port and guest port of a request; raises Failure."""
    with suppress(KeyError, TypeError, ValueError):
        return (
            str(request["protocol"]),
            str(request.get("host_ip", "")),
            int(request["host_port"]),
            int(request.get("guest_port", 0)),
        )
    raise Failure("The engine's request can't be understood.", json.dumps(request)[:200])
