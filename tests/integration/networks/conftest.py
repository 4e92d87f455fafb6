"""An engine on a machine of its own: a network namespace with a host outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.machine import World
from tests.support.native import NativeEngine, new_engine


@dataclass
class Site:
    """The engine and the world around it."""

    engine: NativeEngine
    world: World

    def docker(self, *args: str, check: bool = True) -> str:
        """What the docker CLI prints, errors after it."""
        done = self.engine.docker(*args, check=check)
        return (done.stdout + done.stderr).strip()

    def web(self, *args: str, text: str = "hello", port: int = 8000) -> str:
        """A container with a web server that is up; returns its id."""
        script = f"echo {text} >/index.html; exec httpd -f -p {port}"
        container = self.docker("run", "-d", *args, "busybox", "sh", "-c", script)
        probe = f"for i in $(seq 50); do wget -qO- 127.0.0.1:{port} && exit; sleep 0.1; done"
        self.docker("exec", container, "sh", "-c", probe)
        return container

    def address(self, container: str, network: str = "bridge") -> str:
        """A container's IPv4 address in a network."""
        form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
        return self.docker("inspect", container, "-f", form)

    def restart(self, *, kill: bool) -> None:
        """End the engine and start it again in the machine."""
        self.world.inside(lambda: self.engine.restart(kill=kill))

    def interfaces(self) -> set[str]:
        """Names of the machine's interfaces."""
        lines = self.world.sh(self.world.machine, "ip -o link | cut -d: -f2").split()
        return {line.partition("@")[0] for line in lines}

    def settled(self) -> set[str]:
        """As `interfaces`, once the kernel has removed those of containers (5 s at most)."""
        deadline = time.monotonic() + 5
        while any(name.startswith("v") for name in self.interfaces()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return self.interfaces()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    engine = new_engine()
    world = World(engine.folder)
    try:
        world.make()
        world.inside(engine.start)
        engine.seed()
        yield Site(engine, world)
    finally:
        engine.clean()
        world.remove()
        engine.clean()


@pytest.fixture
def clean_site(site: Site) -> Iterator[Site]:
    """The site without containers and user networks, before and after."""
    yield site
    ids = site.docker("ps", "-aq").split()
    if ids:
        site.docker("rm", "-f", *ids)
    site.docker("network", "prune", "-f")
