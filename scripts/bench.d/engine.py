"""The native engine alone: time to its first answer, idle memory, requests per second."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
IDLE_SECONDS = 2.0
RATE_REQUESTS = 3000


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.unix_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.unix_path))


def answered(path: Path) -> bool:
    try:
        connection = UnixConnection(path)
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no VmRSS for {pid}")


def rate(path: Path) -> float:
    """GET /version answers a second over one kept connection."""
    connection = UnixConnection(path)
    started = time.perf_counter()
    for _ in range(RATE_REQUESTS):
        connection.request("GET", "/version")
        connection.getresponse().read()
    return RATE_REQUESTS / (time.perf_counter() - started)


def once(folder: Path) -> tuple[float, float, float]:
    path = folder / "e.sock"
    started = time.perf_counter()
    argv = [sys.executable, "-m", "engine", "--root", str(folder / "root"), "--socket", str(path)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answered(path):
            if process.poll() is not None:
                raise RuntimeError(f"the engine ended with {process.returncode}")
            time.sleep(0.005)
        first = time.perf_counter() - started
        time.sleep(IDLE_SECONDS)
        return first, resident_mb(process.pid), rate(path)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def main() -> None:
    if os.geteuid():
        sys.exit("the engine needs root")
    folder = Path(tempfile.mkdtemp(prefix="cvb-", dir="/var/tmp"))
    try:
        figures = [once(folder) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    first, memory, requests = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"first answer {first * 1000:.0f} ms   idle {memory:.0f} MB   {requests:.0f} requests/s")


if __name__ == "__main__":
    main()
