"""What containers cost an engine as they become more: a table at none, then at many.

run: create, start, wait and remove one by the API; list: GET /containers/json of up to 1000,
until the client has it; idle: share of a core that the engine uses while nobody asks. Memory counts
so: engine is its resident set; conmon is the sum of the proportional set sizes (PSS) of all
conmons, which is what they add to the machine. The containers' own processes are the user's and
not counted. The limits are those that the project promises.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENTS = 4
SETTLE_SECONDS = 1.0  # what was just asked for has its after-work
IMAGE = "growth:1"
MOST_LISTED = 1000
LIST = f"/containers/json?all=1&limit={MOST_LISTED}"
BUSYBOX = Path("/bin/busybox")
TICKS = os.sysconf("SC_CLK_TCK")


class Client(http.client.HTTPConnection):
    """One kept connection to the engine's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=120)
        self.unix_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(str(self.unix_path))

    def fetch(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of a good answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        self.request(method, path, data, {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return text

    def call(self, method: str, path: str, body: Any = None) -> Any:
        text = self.fetch(method, path, body)
        return json.loads(text) if text.startswith((b"{", b"[")) else text

    def make(self, *args: str) -> str:
        """A new container's id."""
        body = {"Image": IMAGE, "Cmd": ["/bin/busybox", *args]}
        return str(self.call("POST", "/containers/create", body)["Id"])


@dataclass(frozen=True)
class Figures:
    """One row; ms, MB and percent of a core."""

    stopped: int
    running: int
    run: float
    list: float
    engine: float
    conmon: float
    idle: float


def image() -> bytes:
    """A root file system that holds busybox and nothing else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(BUSYBOX, "bin/busybox")
    return buffer.getvalue()


def timed(rounds: int, work: Callable[[], object]) -> float:
    """The quicker third of `rounds`, in ms: the computer may have other things to do, too."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        found.append((time.perf_counter() - started) * 1000)
    return statistics.mean(sorted(found)[: max(1, rounds // 3)])


def status_mb(pid: int | str, key: str = "VmRSS") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def conmons_mb(root: Path) -> float:
    """Memory of this engine's conmons that nobody shares with them."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if b"conmon" in command.split(b"\0")[0] and str(root).encode() in command:
                for line in (folder / "smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) / 1024
        except OSError:
            continue
    return total


def idle_share(pid: int, seconds: float) -> float:
    """Percent of a core that the engine uses while nobody asks anything."""

    def ticks() -> int:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    time.sleep(SETTLE_SECONDS)
    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / TICKS / seconds * 100


def measure(pid: int, root: Path, client: Client, options: argparse.Namespace) -> Figures:
    def run() -> None:
        id = client.make("true")
        client.call("POST", f"/containers/{id}/start")
        client.call("POST", f"/containers/{id}/wait")
        client.call("DELETE", f"/containers/{id}")

    run()  # the first of all loads what later ones find in memory
    states = [one["State"] for one in client.call("GET", "/containers/json?all=1")]
    running = states.count("running")
    idle = idle_share(pid, options.idle)
    return Figures(
        stopped=len(states) - running,
        running=running,
        run=timed(options.rounds, run),
        list=timed(options.rounds, lambda: client.fetch("GET", LIST)),
        engine=status_mb(pid),
        conmon=conmons_mb(root),
        idle=idle,
    )


def fill(path: Path, stopped: int, running: int) -> list[str]:
    """Make the containers, several at once; their ids."""

    def share(number: int) -> list[str]:
        client = Client(path)
        made = []
        for count in range(number, stopped + running, CLIENTS):
            made.append(client.make("sleep", "100000"))
            if count < running:
                client.call("POST", f"/containers/{made[-1]}/start")
        return made

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [id for made in pool.map(share, range(CLIENTS)) for id in made]


def clear(path: Path) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        ids = [one["Id"] for one in Client(path).call("GET", "/containers/json?all=1")]
        list(pool.map(lambda id: Client(path).call("DELETE", f"/containers/{id}?force=1"), ids))


def rows(folder: Path, options: argparse.Namespace) -> list[Figures]:
    root, path = folder / "root", folder / "e.sock"
    argv = [sys.executable, "-m", "engine", "--root", str(root), "--socket", str(path)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        if not process.stdout.readline().startswith(b"ready"):
            raise RuntimeError("the engine didn't start")
        client = Client(path)
        repository, _, tag = IMAGE.partition(":")
        client.call("POST", f"/images/create?fromSrc=-&repo={repository}&tag={tag}", image())
        found = [measure(process.pid, root, client, options)]
        try:
            for stopped, running in ((0, options.running), (options.stopped, 0)):
                fill(path, stopped, running)
                found.append(measure(process.pid, root, client, options))
        finally:
            clear(path)
        found.append(measure(process.pid, root, client, options))
        return found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def show(found: list[Figures]) -> None:
    print(" stopped running    run ms   list ms  engine MB  conmon MB   idle %")
    for one in found:
        print(
            f"{one.stopped:8}{one.running:8}{one.run:10.1f}{one.list:10.1f}"
            f"{one.engine:11.1f}{one.conmon:11.1f}{one.idle:9.2f}"
        )
    first, some, full, last = found
    none = (first.run + last.run) / 2  # a computer with other things to do changes its pace
    count = full.stopped + full.running
    own = max(0.0, some.engine - first.engine) / max(1, some.running)
    whole = own + some.conmon / max(1, some.running)
    limits = [
        ("run, times its value at none", full.run / none, 1.2),
        (f"list of {min(count, MOST_LISTED)}, ms", full.list, 60.0),
        ("idle with all of them, % of a core", full.idle, 0.5),
        ("engine without containers, MB resident", first.engine, 45.0),
        ("more of the engine for a running container, MB", own, 1.5),
        ("engine and conmon for a running container, MB", whole, 4.0),
    ]
    for what, value, most in limits:
        word = "ok" if value <= most else "MISSED"
        print(f"{what:>50}: {value:7.2f}, at most {most:g}: {word}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--running", type=int, default=200, help="running containers (200)")
    parser.add_argument("--stopped", type=int, default=1000, help="stopped containers (1000)")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each act (15)")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of idleness (20)")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("the engine needs root")
    if not BUSYBOX.exists():
        sys.exit(f"the containers need {BUSYBOX}: install busybox-static")
    folder = Path(tempfile.mkdtemp(prefix="cvb-", dir="/var/tmp"))
    try:
        show(rows(folder, options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
