"""The link to the desktop that opens published ports on the user's machine (skeleton of the API)."""

from __future__ import annotations

from pathlib import Path


class HostLink:
    """Serves the unix socket at `path`; the host agent connects to it. See `HostPorts`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def start(self) -> None:
        """Listen; returns once agents can connect."""

    async def close(self) -> None:
        """Stop listening and drop the agent."""

    async def publish(self, protocol: str, host_ip: str, host_port: int, guest_port: int) -> int:
        """Open the port on the user's machine and return it; an EngineError says why not."""
        return host_port

    async def withdraw(self, protocol: str, host_ip: str, host_port: int) -> None:
        """Close the port on the user's machine; never fails."""
