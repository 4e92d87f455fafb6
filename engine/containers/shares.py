"""Where a bind source of the user's machine is, seen from the engine's."""

import json
import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadRequest
from engine.linux.shared import HOST_MOUNT

_SOCKETS = frozenset({"/var/run/docker.sock", "/run/docker.sock"})


class Shares:
    """Maps bind sources; without a description of a VM they are paths of this machine."""

    def __init__(self, socket: Path, machine: Path | None = None) -> None:
        self.socket = socket
        self.folders: tuple[str, ...] | None = None
        self.isolation = ""
        if machine is not None:
            description: Mapping[str, Any] = json.loads(machine.read_text())
            self.isolation = str(description.get("isolation") or "")
            self.folders = tuple(
                posixpath.normpath(share["path"]) for share in description.get("shares") or ()
            )

    def locate(self, source: str) -> str:
        """The path that holds `source`. Raises BadRequest when it isn't shared with the VM."""
        source = posixpath.normpath(source)
        if source.startswith("//"):
            source = source[1:]
        if source in _SOCKETS and (self.folders is not None or not os.path.exists(source)):
            return str(self.socket)
        if self.folders is None:
            return source
        for folder in self.folders:
            if source == folder or source.startswith(folder.rstrip("/") + "/"):
                return HOST_MOUNT + source
        shown = ", ".join(self.folders) or "none"
        raise BadRequest(
            f"Mounts denied: {source} is not below a folder that is shared with the VM "
            f"(shared: {shown}). Share it with `cove config set shares PATH,...`"
        )
