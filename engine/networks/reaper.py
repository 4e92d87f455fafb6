"""What a closed sandbox leaves for later, off the way of the container's end.

The kernel removes interfaces with their namespace, many at a time; meanwhile it holds the lock that
every change of interfaces needs (20 ms and more). Nobody has to wait for that.
"""

import asyncio
import logging
import socket

from engine.linux import conntrack, netlink
from engine.networks import plumbing
from engine.networks.bridges import Bridges
from engine.networks.records import Sandbox

_log = logging.getLogger(__name__)
# seconds that the kernel has to remove the interfaces of a namespace that has ended
_GRACE = 2.0


class Reaper:
    """Cuts off and forgets what is left of closed sandboxes, in the background."""

    def __init__(self, bridges: Bridges) -> None:
        self._bridges = bridges
        self._closed: list[Sandbox] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, sandbox: Sandbox) -> None:
        """A sandbox has been closed."""
        self._closed.append(sandbox)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish without the grace; twice is safe."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await asyncio.to_thread(self._cut, self._closed)

    async def _run(self) -> None:
        while self._closed:
            batch, self._closed = self._closed, []
            await asyncio.to_thread(self._cut, batch)
            await asyncio.sleep(_GRACE)
            # Some process still lives in the namespace: the interface goes without it.
            links = {one.host_link for sandbox in batch for one in sandbox.endpoints.values()}
            await asyncio.to_thread(self._bridges.discard, links)

    def _cut(self, sandboxes: list[Sandbox]) -> None:
        try:
            endpoints = [one for sandbox in sandboxes for one in sandbox.endpoints.values()]
            plumbing.quiet(self._bridges.channel, endpoints)
            bindings = [one for sandbox in sandboxes for one in sandbox.bindings]
            datagrams = {one.container_ip for one in bindings if one.protocol == "udp"}
            if datagrams:
                with netlink.Channel(netlink.NETLINK_NETFILTER) as channel:
                    conntrack.forget(channel, datagrams, socket.IPPROTO_UDP)
        except OSError as error:
            _log.error("what containers left of their networks is not all gone: %s", error)
