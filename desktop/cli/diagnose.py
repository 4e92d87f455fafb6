"""`cove diagnose`: check what a start needs and what runs, in one report."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import desktop
from desktop import settings
from desktop.agent.client import AgentClient
from desktop.failure import Failure
from desktop.paths import Home, architecture, image_folder
from desktop.vm import accel, disk, image, prepare, qemu
from desktop.vm.console import tail
from desktop.vm.states import State

LAST_LINES = 15


@dataclass(frozen=True)
class Check:
    """One thing looked at: `detail` says what was found, `hint` what to do about it."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


@dataclass
class Report:
    """All that was found."""

    facts: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return not all(check.ok for check in self.checks)

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def as_text(self) -> str:
        lines = [f"{key:<12} {value}" for key, value in self.facts.items()]
        lines.append("")
        for check in self.checks:
            lines.append(f"{'✓' if check.ok else '✗'} {check.name:<12} {check.detail}")
            if check.hint and not check.ok:
                lines.append(f"               {check.hint}")
        for name, last in self.logs.items():
            lines += ["", f"last lines of {name}:", *(f"  {each}" for each in last)]
        return "\n".join(lines)


def run(client: AgentClient) -> Report:
    """Look at everything; what can't be looked at is a failed check, never an error."""
    home = client.home
    report = Report(_facts(home))
    found = report.checks
    found.append(_check("settings", lambda: _settings(home)))
    found.append(_check("qemu", lambda: _qemu()))
    found.append(_check("image", lambda: _image(home)))
    found.append(_check("room", lambda: _room(home)))
    found.append(_accelerator())
    found.append(_check("machine", lambda: _machine(client)))
    found.append(_check("docker", lambda: _docker(client)))
    for path in (home.agent_log, home.console_log, home.qemu_log):
        last = tail(path, LAST_LINES)
        if last:
            report.logs[str(path)] = last
    return report


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except Failure as failure:
        return Check(name, False, f"{failure.what} {failure.why}".strip(), failure.hint)
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}")


def _facts(home: Home) -> dict[str, Any]:
    return {
        "cove": desktop.__version__,
        "host": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "COVE_HOME": str(home.path),
        "COVE_ACCEL": os.environ.get(accel.VARIABLE, "(not set)"),
        "cpus": settings.Limits.of_host().cpus,
        "memory": settings.format_size(settings.Limits.of_host().memory_mib),
    }


def _settings(home: Home) -> str:
    now = settings.load(home.settings_file)
    prepare.plan_shares(now.shares)
    words = now.to_record()
    return ", ".join(f"{k} {','.join(v) if k == 'shares' else v}" for k, v in words.items())


def _qemu() -> str:
    program = qemu.find_program(architecture())
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise Failure(f"{program} doesn't run.", answer.stderr.strip(), "Install it again.")
    return answer.stdout.splitlines()[0]


def _image(home: Home) -> str:
    found = image.find(image_folder(), architecture())
    return f"{found.folder}, kernel {found.kernel_version}, checked by SHA-256"


def _room(home: Home) -> str:
    place = home.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < disk.ROOM_LEAST:
        raise Failure(f"{place} has {free >> 20} MB free.", "", "Make room on that file system.")
    used = disk.used_bytes(home.disk)
    size = disk.size_gib(home.disk)
    told = f", the VM's disk takes {used / 1e9:.1f} GB of at most {size}" if size else ""
    return f"{free / 1e9:.1f} GB free{told}"


def _accelerator() -> Check:
    if sys.platform == "darwin":
        from desktop import macos

        fine = macos.hypervisor()
        return Check("accelerator", True, "hvf" if fine else "none: the VM is emulated")
    why = accel.probe_kvm()
    with suppress(Failure):
        verdict = accel.recall(Home.from_environment().accelerator_verdict, _version())
        why = why or verdict or ""
    # Emulation is slower, not broken: no failed check.
    return Check("accelerator", True, f"the VM is emulated: {why}" if why else "kvm")


def _version() -> str:
    return qemu.version(qemu.find_program(architecture()))


def _machine(client: AgentClient) -> str:
    status = client.status()
    if status.state is State.FAILED and status.failure:
        raise Failure.from_record(status.failure)
    return str(status.state)


def _docker(client: AgentClient) -> str:
    """Ask the engine for its version through the Docker socket, if the VM should run."""
    import http.client
    import socket

    if client.status().state is not State.RUNNING:
        return "not asked: the VM doesn't run"
    connection = http.client.HTTPConnection("cove")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(10)
        connection.sock.connect(str(client.home.docker_socket))
        connection.request("GET", "/version")
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Failure(
            f"The engine doesn't answer on {client.home.docker_socket}.",
            f"{error}.",
            "Look at `cove logs engine`, then run `cove restart`.",
        ) from error
    finally:
        connection.close()
    return f"engine {answer.get('Version')}, API {answer.get('ApiVersion')}"
