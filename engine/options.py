"""The engine's settings, as its command line gives them."""

from pathlib import Path

from engine.values import dataclass


@dataclass(frozen=True)
class Options:
    """Where the engine keeps things and who it talks to.

    root is durable state, run volatile state (default ROOT/run), socket the API's Unix socket.
    host_link, machine and welcome are given inside the VM: the socket for the host agent, the
    description of the machine, and the archive with the built-in image. isolation is "enhanced" or
    "standard", for containers that don't ask for one themselves; "": as the machine says.
    """

    root: Path
    socket: Path
    run: Path
    host_link: Path | None = None
    machine: Path | None = None
    welcome: Path | None = None
    runtime: str = "crun"
    group: str | None = None
    isolation: str = ""
    hold_fd: int | None = None
    log_level: str = "info"
    max_layer_entries: int = 1_000_000
    max_layer_size: int = 1 << 40

    @property
    def native(self) -> bool:
        """Whether the engine runs on a machine that is not its own VM."""
        return self.host_link is None
