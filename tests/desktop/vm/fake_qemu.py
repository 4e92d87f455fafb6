"""A stand-in for QEMU: speaks QMP on the inherited socket and prints a guest's console lines.

Run as a program in QEMU's place. What it plays is in the environment: COVE_FAKE holds words,
each `line:TEXT`, `wait:SECONDS`, `exit:CODE`, `stderr:TEXT`, separated by newlines.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any


def value(option: str) -> list[str]:
    return [b for a, b in zip(sys.argv, sys.argv[1:], strict=False) if a == option]


CHARDEVS = value("-chardev")
CONSOLE = next(m[1] for c in CHARDEVS if (m := re.search(r"id=console,path=([^,]+)", c)))
MONITOR = next(int(m[1]) for c in CHARDEVS if (m := re.search(r"id=monitor,fd=(\d+)", c)))
GUEST_AGENT = next(int(m[1]) for c in CHARDEVS if (m := re.search(r"id=qga0,fd=(\d+)", c)))
stopped = False


def say(line: str) -> None:
    with open(CONSOLE, "a") as file:
        file.write(line + "\n")


def play(script: str) -> None:
    for word in filter(None, script.split("\n")):
        kind, _, text = word.partition(":")
        if kind == "line":
            say(text)
        elif kind == "wait":
            time.sleep(float(text))
        elif kind == "stderr":
            print(text, file=sys.stderr, flush=True)
        elif kind == "exit":
            os._exit(int(text))


def answer(command: str, arguments: dict[str, Any]) -> Any:
    global stopped
    if command == "human-monitor-command":
        return "  TCP[HOST_FORWARD]  12  127.0.0.1  40022  10.0.2.15  22  0  0\r\n"
    if command == "query-status":
        return {"status": "paused" if stopped else "running", "running": not stopped}
    if command in ("stop", "cont"):
        stopped = command == "stop"
    return {}


def requests(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """The objects in the stream; clients of QMP need not end a line after each."""
    text = ""
    while block := connection.recv(65536):
        text = (text + block.decode()).lstrip()
        while text:
            try:
                request, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield request


def serve(connection: socket.socket) -> None:
    def send(record: dict[str, Any]) -> None:
        connection.sendall(json.dumps(record).encode() + b"\r\n")

    version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}
    send({"QMP": {"version": version, "capabilities": []}})
    for request in requests(connection):
        command = request["execute"]
        result = {"return": answer(command, request.get("arguments", {}))}
        send(result | ({"id": request["id"]} if "id" in request else {}))
        if command == "system_powerdown" and os.environ.get("COVE_FAKE_DEAF") != "1":
            say("cove: poweroff ok")
            os._exit(0)
        if command == "quit":
            os._exit(0)
        if command == "stop" and os.environ.get("COVE_FAKE_FULL") == "1":
            data = {"action": "stop", "nospace": True, "reason": "No space left on device"}
            stamp = {"seconds": 1, "microseconds": 2}
            send({"event": "BLOCK_IO_ERROR", "data": data, "timestamp": stamp})


def hang_up(listener: socket.socket) -> None:
    """A guest without its agent."""
    while True:
        listener.accept()[0].close()


def main() -> None:
    threading.Timer(30, os._exit, (3,)).start()  # a test that was killed leaves nothing behind
    script = os.environ.get("COVE_FAKE", "")
    again = os.environ.get("COVE_FAKE_AGAIN")  # what a second start plays
    if again is not None:
        marker = CONSOLE + ".ran"
        if os.path.exists(marker):
            script = again
        open(marker, "w").close()
    threading.Thread(target=play, args=(script,), daemon=True).start()
    guest_agent = socket.socket(fileno=GUEST_AGENT)
    threading.Thread(target=hang_up, args=(guest_agent,), daemon=True).start()
    listener = socket.socket(fileno=MONITOR)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
