"""What the runtime is given and gives back: bundle, exit, failure."""

from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.values import dataclass, field


@dataclass(frozen=True)
class Bundle:
    """A container ready to be created: its folder, its OCI config and how to log it.

    `path` is the container's durable folder; config.json, pid files and conmon's sockets are kept
    elsewhere (the engine's volatile folder). `rootfs` must be mounted. `log_max_size` is in bytes:
    conmon begins the log anew there, or it's rotated when `log_max_files` is above 1; with
    `log_compress` the files that aren't written to any more are compressed.
    `stdin_once` is Docker's: the input ends with the client that gives it.
    """

    id: str
    path: Path
    spec: dict[str, Any] = field(repr=False)
    terminal: bool
    stdin: bool
    log_path: Path | None
    log_max_size: int | None
    rootfs: Path
    stdin_once: bool = False
    log_max_files: int = 1
    log_compress: bool = False

    @property
    def closes_stdin(self) -> bool:
        """Whether the input ends with the client that gives it; a terminal's never does."""
        return self.stdin and self.stdin_once and not self.terminal


@dataclass(frozen=True)
class Exit:
    """How a container ended: its code (128+n for signal n), when, and whether memory ran out."""

    code: int
    finished_at_ns: int
    oom_killed: bool = False


class RuntimeFailure(EngineError):
    """The OCI runtime refused; `message` is worded like dockerd's, `exit_code` as docker run's.

    127: the program isn't there; 126: it can't be executed; 128: anything else.
    """

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        # dockerd answers 400 when the command is to blame, 500 otherwise
        self.status = 400 if exit_code in (126, 127) else 500
