"""Every file of one instance of Cove, named once."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from desktop.failure import ExitCode, Failure

# sizeof(sockaddr_un.sun_path) less the closing NUL: unix(7), and sys/un.h on macOS
SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107


@dataclass(frozen=True)
class Home:
    """The folder that holds one instance (`COVE_HOME`, default `~/.cove`)."""

    path: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The instance that the environment names; the path is absolute, not resolved."""
        given = os.environ.get("COVE_HOME", "")
        return cls(Path(os.path.abspath(given)) if given else Path.home() / ".cove")

    @property
    def settings_file(self) -> Path:
        return self.path / "settings.json"

    @property
    def run(self) -> Path:
        """Sockets, the lock and the pid file; nothing in it outlives a reboot usefully."""
        return self.path / "run"

    @property
    def docker_socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def agent_socket(self) -> Path:
        return self.run / "agent.sock"

    @property
    def agent_pid(self) -> Path:
        return self.run / "agent.pid"

    @property
    def agent_lock(self) -> Path:
        return self.run / "agent.lock"

    @property
    def monitor_socket(self) -> Path:
        """QMP. A path, so that an agent started later finds a QEMU that still runs."""
        return self.run / "qmp.sock"

    @property
    def guest_agent_socket(self) -> Path:
        return self.run / "qga.sock"

    @property
    def machine_record(self) -> Path:
        """What an agent needs to adopt a running QEMU: pid, ssh port, settings."""
        return self.run / "machine.json"

    @property
    def disk(self) -> Path:
        return self.path / "disk" / "data.raw"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def host_key(self) -> Path:
        return self.keys / "host_ed25519"

    @property
    def user_key(self) -> Path:
        return self.keys / "user_ed25519"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def agent_log(self) -> Path:
        return self.logs / "agent.log"

    @property
    def console_log(self) -> Path:
        return self.logs / "console.log"

    @property
    def qemu_log(self) -> Path:
        return self.logs / "qemu.log"

    @property
    def accelerator_verdict(self) -> Path:
        return self.path / "accelerator.json"

    @property
    def boots(self) -> Path:
        """How long the last starts took, for the progress bar."""
        return self.path / "boots.json"

    @property
    def last_failure(self) -> Path:
        """Why the VM isn't running, for a status asked after the agent has gone."""
        return self.run / "failure.json"

    @property
    def extensions(self) -> Path:
        return self.path / "extensions"

    @property
    def docker_host(self) -> str:
        """The value for `DOCKER_HOST`."""
        return f"unix://{self.docker_socket}"

    def check(self) -> None:
        """Raise Failure when this folder can't hold an instance; changes nothing."""
        longest = max(
            (self.docker_socket, self.agent_socket, self.monitor_socket, self.guest_agent_socket),
            key=lambda path: len(os.fsencode(path)),
        )
        length = len(os.fsencode(longest))
        if length > SOCKET_PATH_LIMIT:
            raise Failure(
                f"COVE_HOME {self.path} is too long for a socket.",
                f"{longest} has {length} bytes; this system allows {SOCKET_PATH_LIMIT}.",
                f"Set COVE_HOME to a folder whose path is at least "
                f"{length - SOCKET_PATH_LIMIT} bytes shorter.",
                ExitCode.SETTING,
            )

    def create(self) -> None:
        """Make the folders of the instance, private to the user; raises Failure."""
        self.check()
        for folder in (self.path, self.run, self.disk.parent, self.keys, self.logs):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise Failure(
                    f"The folder {folder} can't be made.",
                    f"{error.strerror}.",
                    "Make its parent writable for you, or set COVE_HOME to another folder.",
                    ExitCode.SETTING,
                ) from error
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise Failure(
                    f"The folder {folder} can't be used.",
                    "You have no right to read and write it.",
                    f"Run `chmod u+rwx {folder}` as its owner, or set COVE_HOME to another folder.",
                    ExitCode.SETTING,
                )


def architecture() -> str:
    """The guest's architecture, which is the host's: `x86_64` or `aarch64`."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def checkout() -> Path:
    """The folder that holds the `desktop` package."""
    return Path(__file__).resolve().parent.parent


def image_folder() -> Path:
    """Where the VM's kernel, initrd and root are (`COVE_IMAGE` names another folder)."""
    given = os.environ.get("COVE_IMAGE", "")
    return Path(given).absolute() if given else checkout() / "vm-image" / "out" / architecture()
