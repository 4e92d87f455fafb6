"""`cove reset`: back to an instance without images, containers and volumes."""

from __future__ import annotations

from desktop.agent.client import AgentClient
from desktop.cli import context
from desktop.failure import Failure
from desktop.vm import disk


def run(client: AgentClient) -> int:
    """Stop the VM and remove its disk and keys; answers the bytes that this gives back.

    Settings and logs stay. Raises Failure when the disk can't be removed.
    """
    home = client.home
    client.stop()
    freed = disk.used_bytes(home.disk)
    files = (home.disk, home.host_key, home.user_key, home.accelerator_verdict, home.boots)
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Failure(
                f"{path} can't be removed.", f"{error.strerror}.", "Make its folder writable."
            ) from error
    context.remove(home)
    return freed
