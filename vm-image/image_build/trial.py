"""Boots an image by itself, without the desktop: for trying it out, and for its tests."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_build.errors import BuildError
from image_build.recipe import VM_IMAGE

MACHINES = {
    "x86_64": ("q35,hpet=off", "ttyS0"),
    "aarch64": ("virt,gic-version=3", "ttyAMA0"),
}
# How often QEMU is begun at most, and how long PID 1 may say nothing, in seconds.
STARTS, SILENCE = 5, 60.0


@dataclass(frozen=True)
class Line:
    """A line of the console and when it came, in seconds after QEMU's start."""

    at: float
    text: str


@dataclass
class Trial:
    """A running VM: its console, its guest agent, its monitor, its way in."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int
    began: float
    lines: list[Line] = field(default_factory=list)
    seen: int = 0
    show: Callable[[Line], None] | None = None

    def read(self) -> None:
        """Take in what the console said since."""
        content = (self.folder / "console.log").read_bytes()[self.seen :]
        whole = content[: content.rfind(b"\n") + 1]
        self.seen += len(whole)
        for raw in whole.splitlines():
            line = Line(time.monotonic() - self.began, raw.decode(errors="replace").rstrip())
            self.lines.append(line)
            if self.show is not None:
                self.show(line)

    def wait_for(self, pattern: str, seconds: float = 60, start: int = 0) -> Line:
        """The first console line (from number `start` on) that matches; BuildError if none does."""
        until = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            self.read()
            for line in self.lines[start:]:
                if re.search(pattern, line.text):
                    return line
            if ended or time.monotonic() > until:
                last = "\n".join(line.text for line in self.lines[-25:])
                raise BuildError(f"the console did not say {pattern!r} in {seconds:.0f} s:\n{last}")
            time.sleep(0.01)

    def ended(self, seconds: float = 30) -> int:
        """QEMU's exit code once the VM is off."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.read()
            last = "\n".join(line.text for line in self.lines[-15:])
            raise BuildError(f"the VM isn't off after {seconds:.0f} s:\n{last}") from None
        self.read()
        return code

    def monitor(self, command: str) -> Any:
        """A QMP command's answer."""
        with connect(self.folder / "qmp") as stream:
            stream.readline()
            for name in ("qmp_capabilities", command):
                answer = ask(stream, name)
        return answer

    def agent(self, command: str, **arguments: Any) -> Any:
        """The guest agent's answer."""
        with connect(self.folder / "qga") as stream:
            return ask(stream, command, **arguments)

    def agent_without_answer(self, command: str) -> None:
        """A command after which the guest agent is gone."""
        with connect(self.folder / "qga") as stream:
            stream.write(json.dumps({"execute": command}).encode() + b"\n")
            stream.flush()

    def shell(self, command: str, seconds: float = 60) -> str:
        """The output of a command that ran as root in the VM; BuildError on a non-zero exit."""
        done = subprocess.run(
            [*self.ssh, command], capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            raise BuildError(f"{command!r} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def forwarded(self, socket_path: str, request: bytes, seconds: float = 60) -> bytes:
        """What a unix socket of the VM answers to a request, carried by SSH."""
        local = self.folder / "forwarded.sock"
        *words, target = self.ssh
        tunnel = subprocess.Popen([*words, "-N", "-L", f"{local}:{socket_path}", target])
        try:
            until = time.monotonic() + seconds
            while not local.exists():
                if tunnel.poll() is not None or time.monotonic() > until:
                    raise BuildError(f"ssh made no way to {socket_path}")
                time.sleep(0.05)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(seconds)
                sock.connect(str(local))
                sock.sendall(request)
                return b"".join(iter(lambda: sock.recv(65536), b""))
        finally:
            tunnel.kill()
            tunnel.wait()
            local.unlink(missing_ok=True)

    def wait_for_agent(self, seconds: float = 30) -> None:
        """Until the guest agent answers: before it starts, its port takes words and drops them."""
        until = time.monotonic() + seconds
        while True:
            try:
                with connect(self.folder / "qga", timeout=2) as stream:
                    ask(stream, "guest-ping")
                return
            except (OSError, ValueError):
                if time.monotonic() > until:
                    raise BuildError(f"the guest agent is silent for {seconds:.0f} s") from None

    @property
    def ssh(self) -> list[str]:
        """The words that open a connection: both keys are pinned."""
        return [
            "ssh", "-F", "/dev/null", "-p", str(self.port), "-i", str(self.folder / "user"),
            "-o", f"UserKnownHostsFile={self.folder}/known_hosts", "-o", "BatchMode=yes",
            "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "root@127.0.0.1",
        ]  # fmt: skip


@contextlib.contextmanager
def connect(path: Path, timeout: float = 30) -> Iterator[Any]:
    """A unix socket as a stream of lines."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        with sock.makefile("rwb") as stream:
            yield stream


def ask(stream: Any, command: str, **arguments: Any) -> Any:
    """One command of QMP or of the guest agent; events in between are passed over."""
    stream.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "error" in answer:
            raise BuildError(f"{command}: {answer['error']}")
        if "return" in answer:
            return answer["return"]


def make_keys(folder: Path) -> None:
    """A host key and a user key, known to both ends."""
    for name in ("host", "user"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name]
        if not (folder / name).exists():
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def arguments(
    image: Path, folder: Path, port: int, *, data: Path | None, share: Path | None, words: str
) -> list[str]:
    """QEMU's command line for the image, with the devices that the agent gives it."""
    manifest = json.loads((image / "manifest.json").read_text())
    machine, console = MACHINES[manifest["arch"]]
    processor = "max,-erms,-fsrm" if manifest["arch"] == "x86_64" else "cortex-a72"
    argv = [
        f"qemu-system-{manifest['arch']}", "-M", machine, "-smp", "2", "-m", "1024M",
        "-accel", "tcg,thread=multi,tb-size=256", "-cpu", processor,
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-serial", f"file:{folder}/console.log", "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
        "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"),
        "-append", f"{manifest['cmdline']} console={console} {words}".strip(),
        "-blockdev", f"file,filename={image}/rootfs.erofs,node-name=root,read-only=on,locking=off",
        "-device", "virtio-blk-pci,drive=root,serial=root",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci",
        "-device", "virtio-balloon-pci,free-page-reporting=on", "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=qga,path={folder}/qga,server=on,wait=off",
        "-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0",
        "-fw_cfg", f"name=opt/cove/machine,file={folder}/machine",
        "-fw_cfg", f"name=opt/cove/host_key,file={folder}/host",
        "-fw_cfg", f"name=opt/cove/authorized_keys,file={folder}/user.pub",
    ]  # fmt: skip
    if data is not None:
        drive = f"if=none,id=data,file={data},format=raw,discard=unmap,detect-zeroes=unmap"
        argv += ["-drive", drive, "-device", "virtio-blk-pci,drive=data,serial=data"]
    if share is not None:
        device = f"local,id=share0,path={share},security_model=none"
        argv += ["-fsdev", device, "-device", "virtio-9p-pci,fsdev=share0,mount_tag=share0"]
    return argv


def _started(argv: Sequence[str], console: Path) -> subprocess.Popen[bytes]:
    """QEMU once PID 1 spoke, or ended, or stayed silent; begun again after the crash that
    emulated processors now and then cause while the kernel patches its own code.
    """
    for left in reversed(range(STARTS)):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        until = time.monotonic() + SILENCE
        while process.poll() is None and time.monotonic() < until:
            if b"cove: kernel" in console.read_bytes():
                return process
            time.sleep(0.02)
        if process.poll() is None or not left or b"Oops: int3" not in console.read_bytes():
            return process
    raise AssertionError("unreachable")


@contextlib.contextmanager
def booted(
    architecture: str,
    *,
    out: Path = VM_IMAGE / "out",
    data: Path | None = None,
    share: Path | None = None,
    words: str = "",
    show: Callable[[Line], None] | None = None,
    extra: Sequence[str] = (),
) -> Iterator[Trial]:
    """A VM for the length of the block; what it kept lies in `data` alone."""
    folder = Path(tempfile.mkdtemp(prefix="cvimg"))
    process = None
    try:
        make_keys(folder)
        port = free_port()
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
        shares = [{"tag": "share0", "path": str(share), "type": "9p"}] if share else []
        machine = {"hostname": "cove-trial", "shares": shares, "epoch": time.time()}
        (folder / "machine").write_text(json.dumps(machine))
        (folder / "console.log").touch()
        argv = arguments(out / architecture, folder, port, data=data, share=share, words=words)
        began = time.monotonic()
        process = _started([*argv, *extra], folder / "console.log")
        yield Trial(folder, process, port, began, show=show)
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
