"""The engine run natively for the length of a test session, with real clients beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker

REPO = Path(__file__).resolve().parents[2]
START_LIMIT = 30.0


def busybox_archive(target: Path) -> None:
    """Write a root file system of one static busybox and its links as a tar file."""
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is not installed"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
            (root / name).mkdir()
        shutil.copy(busybox, root / "bin/busybox")
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        subprocess.run(["tar", "-c", "-f", target, "-C", root, "."], check=True)


@dataclass
class NativeEngine:
    """One engine process on this machine; `socket` speaks the Docker API."""

    folder: Path
    flags: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "e.sock"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def log(self) -> Path:
        return self.folder / "engine.log"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start the engine and wait for its `ready` line."""
        argv = [sys.executable, "-m", "engine", "--root", str(self.root)]
        argv += ["--socket", str(self.socket), *self.flags]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                cwd=REPO,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        deadline = time.monotonic() + START_LIMIT
        seen = b""
        while b"ready" not in seen:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the engine did not start:\n{self.log.read_text()[-4000:]}")
            seen += self.process.stdout.read() or b""
            time.sleep(0.01)

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End the engine process alone; containers go on."""
        if self.process is None:
            return
        self.process.send_signal(sig)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None

    def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill -9) and start again on the same root."""
        self.stop(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    def docker(
        self,
        *args: str,
        check: bool = True,
        input: str | bytes | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run the unmodified docker CLI against this engine; text in and out."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            ["docker", *args],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            env={**os.environ, "DOCKER_HOST": self.url, "DOCKER_BUILDKIT": "0"},
        )
        result = subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check and result.returncode:
            raise AssertionError(f"{args} exited {result.returncode}: {result.stderr}")
        return result

    def client(self, **kwargs: object) -> docker.DockerClient:
        """A new docker-py client; the caller closes it."""
        return docker.DockerClient(base_url=self.url, version="auto", **kwargs)  # type: ignore[arg-type]

    def seed(self) -> None:
        """Import busybox:latest unless it is there."""
        if not self.docker("image", "inspect", "busybox", check=False).returncode:
            return
        archive = self.folder / "busybox.tar"
        busybox_archive(archive)
        self.docker("import", "-c", 'CMD ["sh"]', str(archive), "busybox:latest")

    def clean(self) -> None:
        """Remove every container, then the engine, and whatever it left on this machine."""
        bridges: list[str] = []
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Exception):
                ids = self.docker("ps", "-aq", check=False).stdout.split()
                if ids:
                    self.docker("rm", "-fv", *ids, check=False)
                self.docker("network", "prune", "-f", check=False)
                shown = self.docker(
                    "network",
                    "inspect",
                    "bridge",
                    "--format",
                    '{{index .Options "com.docker.network.bridge.name"}}',
                    check=False,
                )
                bridges += shown.stdout.split()
        self.stop()
        self._kill_monitors()
        for bridge in bridges:
            subprocess.run(["ip", "link", "del", bridge], capture_output=True)
            suffix = bridge.removeprefix("cv-")
            for table in (f"cove-{suffix}", "cove" if bridge == "cove0" else ""):
                if table:
                    subprocess.run(["nft", "delete", "table", "inet", table], capture_output=True)
                    subprocess.run(["nft", "delete", "table", "ip", table], capture_output=True)
        self._unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill_monitors(self) -> None:
        """Kill what still names our folder on its command line (conmon of a killed engine)."""
        needle = os.fsencode(str(self.folder)) + b"/"
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if needle in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)

    def _unmount(self) -> None:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        for target in reversed([line.split()[1] for line in lines]):
            if target.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", target], capture_output=True)


def new_engine(*flags: str, environment: Mapping[str, str] | None = None) -> NativeEngine:
    """An engine that isn't started yet, in a folder of its own below /var/tmp."""
    folder = Path(tempfile.mkdtemp(prefix="cvt-", dir="/var/tmp"))
    return NativeEngine(folder, flags, environment or {})
