"""A small world of network namespaces: a machine with an engine on it, and a host outside."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
MACHINE = "192.0.2.1"
OUTSIDE = "192.0.2.9"


def _setns(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


class World:
    """Two namespaces joined by a cable: `machine` (192.0.2.1) and `outside` (192.0.2.9)."""

    def __init__(self, folder: Path) -> None:
        self.machine = folder / "machine.ns"
        self.outside = folder / "outside.ns"

    def make(self) -> None:
        """Make both; they are mount points until `remove`."""
        for path in (self.machine, self.outside):
            path.touch()
            self._run("unshare", f"--net={path}", "true")
        cable = "ip link add ext type veth peer name out netns"
        self._in(self.outside, "sleep 0")
        holder = subprocess.Popen(["nsenter", f"--net={self.outside}", "sleep", "60"])
        try:
            self._in(
                self.machine,
                f"ip link set lo up; {cable} {holder.pid}; ip link set ext up;"
                f"ip addr add {MACHINE}/24 dev ext; ip -6 addr add fd99::1/64 dev ext nodad;"
                f"ip route add default via {OUTSIDE}",
            )
        finally:
            holder.kill()
            holder.wait()
        self._in(
            self.outside,
            f"ip link set lo up; ip link set out up; ip addr add {OUTSIDE}/24 dev out;"
            f"ip -6 addr add fd99::9/64 dev out nodad; ip route add default via {MACHINE}",
        )

    def remove(self) -> None:
        """Remove both; twice is safe."""
        for path in (self.machine, self.outside):
            subprocess.run(["umount", "-l", path], capture_output=True)

    def _run(self, *argv: str) -> None:
        subprocess.run(argv, check=True, capture_output=True)

    def _in(self, where: Path, script: str) -> None:
        subprocess.run(
            ["nsenter", f"--net={where}", "sh", "-ec", script], check=True, capture_output=True
        )

    def sh(self, where: Path, script: str, timeout: float = 15) -> str:
        """What a shell line prints in a namespace; errors are part of it."""
        done = subprocess.run(
            ["nsenter", f"--net={where}", "sh", "-c", script],
            capture_output=True,
            timeout=timeout,
            text=True,
        )
        return (done.stdout + done.stderr).strip()

    def fetch(self, where: Path, url: str) -> str:
        """The body at `url` as seen from a namespace, "" when it can't be had in a second."""
        return self.sh(where, f"curl -s -m 1 '{url}'")

    @contextlib.contextmanager
    def serving(self, where: Path, text: str, port: int) -> Iterator[None]:
        """A web server in a namespace, up on entry."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "index.html").write_text(text)
            argv = ["nsenter", f"--net={where}", "busybox", "httpd", "-f", "-p", str(port)]
            process = subprocess.Popen([*argv, "-h", folder])
            try:
                while not self.fetch(where, f"http://127.0.0.1:{port}/"):
                    assert process.poll() is None
                yield
            finally:
                process.kill()
                process.wait()

    def inside(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread in the machine; processes that it starts are there, too."""
        failure: list[BaseException] = []

        def run() -> None:
            try:
                _setns(self.machine)
                work()
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
