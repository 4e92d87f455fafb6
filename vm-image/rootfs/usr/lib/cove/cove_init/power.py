"""The end: containers asked to stop, services ended, disk closed, machine off."""

from __future__ import annotations

import _signal as signals
import os
import struct
import time

from cove_init.console import say
from cove_init.system import (
    MNT_DETACH,
    MS_RDONLY,
    MS_REMOUNT,
    POWER_OFF,
    mount,
    read,
    reboot,
    unmount,
)  # fmt: skip

PATIENCE = 10.0
CGROUP = "/sys/fs/cgroup"
OURS = ("", "engine", "services")
EVENT = struct.Struct("@llHHi")  # struct input_event, include/uapi/linux/input.h
EV_KEY, KEY_POWER = 1, 116


def is_power_button(events: bytes) -> bool:
    """Whether the power button was pressed, among what an input device says."""
    whole = len(events) - len(events) % EVENT.size
    return any(event[2:] == (EV_KEY, KEY_POWER, 1) for event in EVENT.iter_unpack(events[:whole]))


def watch_buttons(supervisor, act) -> None:
    """Call `act` when the machine's power button is pressed."""
    try:
        names = [name for name in os.listdir("/dev/input") if name.startswith("event")]
    except OSError:
        return
    for name in names:
        fd = os.open(f"/dev/input/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)

        def read_events(fd: int = fd) -> None:
            try:
                pressed = is_power_button(os.read(fd, EVENT.size * 64))
            except BlockingIOError:
                return
            except OSError:
                supervisor.forget(fd)
                return
            if pressed:
                act()

        supervisor.watch(fd, read_events)


def processes() -> list[int]:
    """All process ids."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_first_of_container(pid: int) -> bool:
    """Whether a process is number 1 of a PID namespace below ours."""
    try:
        status = read(f"/proc/{pid}/status").decode(errors="replace")
    except OSError:
        return False
    numbers = next((x for x in status.splitlines() if x.startswith("NSpid:")), "").split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def container_processes() -> list[int]:
    """The first process of each container."""
    return [pid for pid in processes() if pid != 1 and is_first_of_container(pid)]


def signal_each(pids: list[int], number: int) -> None:
    """Send a signal to processes that may be gone by now."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def thaw() -> None:
    """A paused container can't end: let all of them run."""
    for folder, _, files in os.walk(CGROUP):
        if "cgroup.freeze" in files and folder != CGROUP:
            try:
                with open(f"{folder}/cgroup.freeze", "w") as file:
                    file.write("0")
            except OSError:
                continue


def stop_containers(supervisor, patience: float = PATIENCE) -> None:
    """SIGTERM to every container, SIGKILL to those that stay."""
    first = container_processes()
    if not first:
        return
    say(f"poweroff: stopping {len(first)} containers")
    thaw()
    signal_each(first, signals.SIGTERM)
    if not wait_until(supervisor, lambda: not container_processes(), patience):
        signal_each(container_processes(), signals.SIGKILL)
        wait_until(supervisor, lambda: not container_processes(), 2)
    # each container's monitor notes the exit code on the disk, then ends by itself
    wait_until(supervisor, lambda: not monitors(), 2)


def monitors() -> list[int]:
    """The conmon processes."""
    found = []
    for pid in processes():
        try:
            if read(f"/proc/{pid}/comm").startswith(b"conmon"):
                found.append(pid)
        except OSError:
            continue
    return found


def wait_until(supervisor, condition, seconds: float) -> bool:
    """Keep the loop going until the condition holds; False when it did not in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        supervisor.later(0.02, lambda: None)
        supervisor.step()
    return True


def end_processes(supervisor) -> None:
    """Everything else: asked, then killed."""
    for number, seconds in ((signals.SIGTERM, 1.0), (signals.SIGKILL, 2.0)):
        try:
            os.kill(-1, number)
        except OSError:
            return
        if wait_until(supervisor, lambda: not others(), seconds):
            return


def others() -> list[int]:
    """Processes besides PID 1 and the kernel's own threads (which have no command line)."""
    found = []
    for pid in processes():
        try:
            if pid != 1 and read(f"/proc/{pid}/cmdline"):
                found.append(pid)
        except OSError:
            continue
    return found


def detach(target: str) -> bool:
    """Unmount everything below a folder, then it; whether the disk is closed."""
    inside = [x for x in mounted() if x == target or x.startswith(target + "/")]
    for place in reversed(inside):
        try:
            unmount(place)
        except OSError:
            if place != target:
                try_detached(place)
    if target not in mounted():
        return True
    try:
        mount("", target, "", MS_REMOUNT | MS_RDONLY)
    except OSError as error:
        say(f"poweroff: {target} stays in use ({error.strerror}); its journal is replayed at start")
        return False
    return True


def mounted() -> list[str]:
    """All mount points, in the order they came."""
    lines = read("/proc/self/mounts").decode(errors="replace").splitlines()
    return [unescape(line.split(" ")[1]) for line in lines]


def try_detached(place: str) -> None:
    """Take a busy mount out of the tree."""
    try:
        unmount(place, MNT_DETACH)
    except OSError as error:
        say(f"poweroff: {place} can't be unmounted: {error.strerror}")


def unescape(path: str) -> str:
    """/proc/mounts writes spaces, tabs, line ends and backslashes as octal numbers."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def end(supervisor, engine, services, command: int = POWER_OFF) -> None:
    """Stop everything in order and switch the machine off (or start it anew)."""
    say("poweroff: started")
    for service in services:
        service.wanted = False
    if engine.pid:
        supervisor.stop(engine)
        if not wait_until(supervisor, lambda: not engine.pid, 5):
            supervisor.stop(engine, signals.SIGKILL)
    stop_containers(supervisor)
    end_processes(supervisor)
    os.sync()
    detach("/host_mnt")
    detach("/var/lib/cove")
    say("poweroff ok")
    reboot(command)
