"""What a closed sandbox leaves for later, off the way of the container's end.

The kernel removes interfaces with their namespace, many at a time; meanwhile it holds the lock that
every change of interfaces needs (20 ms and more). Nobody has to wait for that.
"""

import asyncio
import logging
import socket
from collections.abc import Coroutine
from typing import Any

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
        self._tasks: set[asyncio.Task[None]] = set()
        self._cutting = False

    def add(self, sandbox: Sandbox) -> None:
        """A sandbox has been closed."""
        if not any(one.host_link for one in sandbox.endpoints.values()):
            return  # of `--network none`: it ends with its namespace
        self._closed.append(sandbox)
        if not self._cutting:
            self._cutting = True
            self._spawn(self._cut_all())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Finish without the grace; twice is safe."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._cutting = False
        if self._closed:
            await asyncio.to_thread(self._cut, self._closed)

    async def _cut_all(self) -> None:
        try:
            while self._closed:
                batch, self._closed = self._closed, []
                await asyncio.to_thread(self._cut, batch)
                self._spawn(self._discard(batch))
        finally:
            self._cutting = False

    async def _discard(self, batch: list[Sandbox]) -> None:
        """Some process may live on in a namespace: its interface goes without it."""
        await asyncio.sleep(_GRACE)
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
