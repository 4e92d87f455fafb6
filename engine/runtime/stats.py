"""Use of resources by a container, in the pieces of Docker's stats."""

from typing import Any


async def read(id: str, pid: int) -> dict[str, Any]:
    """read (RFC 3339), cpu_stats, memory_stats, pids_stats, blkio_stats, num_procs, networks.

    `networks` is left out when the container shares the host's. The caller keeps the last one
    for precpu_stats and preread. Raises ProcessLookupError when `pid` is gone.
    """
    raise RuntimeError
