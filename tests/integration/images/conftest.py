"""A real registry on loopback, and a proxy in front of it that can misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.docker_registry import Registry, start_registry
from tests.support.native import NativeEngine
from tests.support.registry_proxy import Proxy


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    registry = start_registry()
    yield registry
    registry.stop()


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with Proxy(registry.port) as proxy:
        yield proxy


@pytest.fixture
def pushed(native_engine: NativeEngine, registry: Registry) -> Callable[..., str]:
    """Push an image with layers of random bytes under a name; its name at the registry."""

    def push(name: str, *, megabytes: int = 1, layers: int = 2) -> str:
        from tests.support.archives import docker_archive

        reference = f"{registry.host}/{name}:1"
        native_engine.docker("load", "-q", input=docker_archive(reference, layers, megabytes))
        native_engine.docker("push", "-q", reference)
        native_engine.docker("rmi", reference)
        return f"{name}:1"

    return push
