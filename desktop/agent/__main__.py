"""The host agent's process: `python -m desktop.agent COVE_HOME`, started by `cove start`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

from desktop.agent.client import AgentClient
from desktop.agent.lock import Lock
from desktop.failure import Failure
from desktop.paths import Home

LOG_MOST = 4 << 20
IDLE_SECONDS = 3.0
FIRST_REQUEST_SECONDS = 15.0
log = logging.getLogger("agent")


def main(argv: list[str]) -> int:
    """Run until stopped; the exit code is a `Failure`'s when it can't start."""
    home = Home(Path(argv[0])) if argv else Home.from_environment()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    lock = Lock(home.agent_lock, home.agent_pid)
    try:
        home.create()
        if AgentClient(home).alive():
            return 0
        lock.take()
        if AgentClient(home).alive():
            return 0
        asyncio.run(serve(home))
    except Failure as failure:
        print(str(failure).replace("\n", " "), file=sys.stderr, flush=True)
        return failure.exit_code
    finally:
        lock.close()
    return 0


async def serve(home: Home) -> None:
    """The agent's life: adopt, answer, end when stopped or no longer needed."""
    from desktop.agent.host import Host
    from desktop.agent.server import Server

    host = Host(home)
    server = Server(host)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: asyncio.ensure_future(_terminate(host, server)))
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    await server.open()
    log.info("listening on %s", home.agent_socket)
    adopting = asyncio.create_task(host.adopt())
    idle = asyncio.create_task(_end_when_idle(host, server, adopting))
    await server.ended.wait()
    idle.cancel()
    adopting.cancel()
    with suppress(asyncio.CancelledError, Failure):
        await adopting
    await server.close()
    await host.close()
    log.info("ended")


async def _terminate(host: object, server: object) -> None:
    from desktop.agent.host import Host
    from desktop.agent.server import Server

    assert isinstance(host, Host) and isinstance(server, Server)
    log.info("asked to end: shutting the VM down")
    with suppress(Failure):
        await host.stop()
    server.ended.set()


async def _end_when_idle(host: object, server: object, adopting: asyncio.Task[None]) -> None:
    """An agent without a VM and without anybody listening serves no purpose."""
    from desktop.agent.host import Host
    from desktop.agent.server import Server

    assert isinstance(host, Host) and isinstance(server, Server)
    await asyncio.wait([adopting])
    idle = IDLE_SECONDS - FIRST_REQUEST_SECONDS
    while idle < IDLE_SECONDS:
        await asyncio.sleep(1.0)
        if server.served:
            idle = max(idle, 0.0)
        idle = idle + 1.0 if host.at_rest and not server.clients else 0.0
    server.ended.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
