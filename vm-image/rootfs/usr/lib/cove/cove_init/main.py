"""The start, in the order that answers soonest: what takes long goes first, beside the rest."""

from __future__ import annotations

import _signal as signals
import os
import sys
import time

from cove_init import disk, modules, mounts, network, power, settings
from cove_init.console import failed, line, ok, say
from cove_init.services import Service, Supervisor
from cove_init.system import POWER_OFF, RESTART, mount, reboot

ENGINE = (
    "/usr/bin/python3.13", "-ISuB", "-X", "utf8", "-m", "engine",
    "--root", "/var/lib/cove/engine", "--run", "/run/cove/engine",
    "--socket", "/run/cove/engine.sock", "--host-link", "/run/cove/link.sock",
    "--machine", "/run/cove/machine.json", "--welcome", "/usr/share/cove/welcome.tar",
)  # fmt: skip
SSHD = ("/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config")
# Seconds after the engine's answer, or after the start, until what can wait has its turn.
IDLE_AFTER, IDLE_AT_LAST = 0.5, 60.0
PORT_NAME = "org.qemu.guest_agent.0"
PORT = f"/dev/virtio-ports/{PORT_NAME}"
AGENT = ("/usr/sbin/qemu-ga", "-m", "virtio-serial", "-p", PORT, "-f", "/run/qga.pid", "-t", "/run")


class Start:
    """What is known and running, step by step."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self.engine = Service("engine", ENGINE, group="engine", on_line=self._engine_said)
        self.sshd = Service("sshd", SSHD, group="services", on_line=self._sshd_said)
        self.agent = Service("qga", AGENT, group="services")
        self.ending = False
        self.waiting: list[str] = []
        self.idle = modules.listed("idle")

    def _engine_said(self, text: str) -> None:
        if text.startswith("ready"):
            ok("engine", text.removeprefix("ready").strip())
            self.supervisor.later(IDLE_AFTER, self.load_idle)

    def _sshd_said(self, text: str) -> None:
        if text.startswith("Server listening on 0.0.0.0"):
            ok("sshd", "port 22")

    def steps(self) -> None:
        """Bring the machine up."""
        for number, command in (
            (signals.SIGTERM, POWER_OFF), (signals.SIGUSR1, POWER_OFF),
            (signals.SIGUSR2, POWER_OFF), (signals.SIGINT, RESTART),
        ):  # fmt: skip
            self.supervisor.on_signal(number, lambda command=command: self.end(command))
        mounts.set_up()
        mounts.set_up_cgroups()
        mounts.raise_limits()
        release = self.start_engine()
        mounts.apply_settings()
        modules.insert_all("early")
        self.start_network()
        self.start_sshd()
        self.start_disk(release)
        self.describe_machine()
        self.start_agent()
        self.waiting = modules.listed("late")
        self.supervisor.later(0, self.load_next)
        self.supervisor.later(IDLE_AT_LAST, self.load_idle)

    def start_engine(self) -> int:
        """Let the engine load its code while the disk is looked at; it waits for a byte."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self.engine.first_fd, self.engine.first_words = reader, ("--hold-fd", "3")
        self.supervisor.start(self.engine)
        return writer

    def start_network(self) -> None:
        """Addresses and routes."""
        try:
            ok("network", network.set_up())
        except OSError as error:
            hint = "start the VM with -netdev user and -device virtio-net-pci"
            failed("network", error.strerror or str(error), hint)

    def start_sshd(self) -> None:
        """The way in: with the keys that the host handed in, or not at all."""
        if settings.place_keys():
            self.supervisor.start(self.sshd)

    def start_disk(self, release: int) -> None:
        """The data disk; only with it the engine goes on."""
        try:
            detail = disk.attach(self.supervisor.run)
        except disk.DiskError as error:
            failed("disk", error.reason, error.hint)
        except OSError as error:
            failed("disk", str(error), "`cove logs` shows what the kernel says about it")
        else:
            os.makedirs("/var/lib/cove/engine", exist_ok=True)
            ok("disk", detail)
            self.let_go(release)
            return
        self.supervisor.stop(self.engine, signals.SIGKILL)
        failed("engine", "there is no data disk to work on", "see the line about the disk")

    def let_go(self, release: int) -> None:
        """Tell the waiting engine that its root is there; one that died meanwhile starts anew."""
        try:
            os.write(release, b"\n")
        except BrokenPipeError:
            say("the engine ended before the disk was ready")
        os.close(release)

    def describe_machine(self) -> None:
        """Name, clock, shared folders."""
        found = settings.machine()
        settings.apply_name(found.get("hostname"))
        settings.apply_time(found.get("epoch"))
        if found["shares"]:
            modules.insert_all("shares")
            settings.attach_shares(found["shares"])

    def start_agent(self) -> None:
        """QEMU's guest agent, at the port of its name (there is no udev to name it)."""
        folder = "/sys/class/virtio-ports"
        for port in os.listdir(folder) if os.path.isdir(folder) else ():
            with open(f"{folder}/{port}/name") as file:
                name = file.read().strip()
            if name and not os.path.lexists(f"/dev/virtio-ports/{name}"):
                os.symlink(f"/dev/{port}", f"/dev/virtio-ports/{name}")
        if os.path.exists(PORT):
            self.supervisor.start(self.agent)
        else:
            say(f"no port {PORT_NAME}: the guest agent stays off")

    def load_next(self) -> None:
        """One more of the modules that aren't urgent; others get their turn in between."""
        if self.waiting:
            modules.insert(self.waiting.pop(0))
            self.supervisor.later(0, self.load_next)

    def load_idle(self) -> None:
        """One more of those that can wait until the engine answered; the button is the last."""
        if not self.idle:
            return
        modules.insert(self.idle.pop(0))
        self.supervisor.later(0, self.load_idle)
        if not self.idle:
            power.watch_buttons(self.supervisor, lambda: self.end(POWER_OFF))

    def end(self, command: int) -> None:
        """Switch off or restart, once."""
        if self.ending:
            return
        self.ending = True
        power.end(self.supervisor, self.engine, (self.engine, self.sshd, self.agent), command)


def run() -> None:
    """PID 1: never returns; whatever goes wrong is said, and the machine switched off."""
    try:
        mount("proc", "/proc", "proc")
        release, uptime = os.uname().release, time.clock_gettime(time.CLOCK_BOOTTIME)
        ok("kernel", f"{release} after {uptime:.2f} s")
        start = Start()
        start.steps()
        while True:
            start.supervisor.step()
    except BaseException as error:
        import traceback

        for text in "".join(traceback.format_exception(error)).splitlines():
            line(f"init: {text}")
        failed("init", repr(error), "this is a fault of Cove: please report it with `cove logs`")
        sys.stderr.flush()
        os.sync()
        reboot(POWER_OFF)
        while True:
            time.sleep(60)
