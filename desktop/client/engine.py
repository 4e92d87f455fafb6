"""`Engine`: one Docker-compatible engine behind a unix socket, asked through docker-py.

Every method blocks and may be called from any worker thread; docker-py is imported by the
first call, so that the window paints without it. Errors are docker-py's; `failures.explain`
words them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from desktop.client import parse
from desktop.client.rows import Container, EngineFacts, Image, Layer, Member, Network, Volume

# docker-py's stubs leave out the parts that this module stands on.
APIClient = Any

# Long enough for an engine that loads a few hundred containers, short enough for a person.
TIMEOUT = 30.0


class Engine:
    """The engine at `address` (a path, with or without `unix://`)."""

    def __init__(self, address: str | Path) -> None:
        self.socket = str(address).removeprefix("unix://")
        self._lock = threading.Lock()
        self._clients: dict[int, APIClient] = {}
        self._version = ""

    def client(self) -> APIClient:
        """This thread's docker-py client: requests' sessions are not made for sharing."""
        ident = threading.get_ident()
        with self._lock:
            found = self._clients.get(ident)
        if found is None:
            found = self.connect(TIMEOUT)
            with self._lock:
                self._clients[ident] = found
        return found

    def connect(self, timeout: float | None) -> APIClient:
        """A new client, for a stream that owns its connection; `timeout` None waits for ever."""
        from desktop.client.transport import api_client

        with self._lock:
            version = self._version
        made = api_client(self.socket, version, timeout)
        with self._lock:
            self._version = str(made._version)
        return made

    def close(self) -> None:
        """Drop every connection; the engine may be used again afterwards."""
        with self._lock:
            clients, self._clients, self._version = list(self._clients.values()), {}, ""
        for client in clients:
            client.close()

    # -- reading ---------------------------------------------------------------------------

    def facts(self) -> EngineFacts:
        """What the engine and its machine are."""
        client = self.client()
        return parse.facts(client.info(), client.version())

    def containers(self) -> list[Container]:
        """All containers, newest first."""
        return [parse.container(item) for item in self.client().containers(all=True)]

    def images(self, containers: list[Container]) -> list[Image]:
        """All images with the names of the containers that use them."""
        client = self.client()
        params = {"all": 0, "shared-size": 1}
        url = client._url("/images/json")
        items = client._result(client._get(url, params=params), json=True)
        return parse.images(items, containers)

    def layers(self, image: str) -> list[Layer]:
        """An image's history, newest first."""
        return parse.layers(self.client().history(image))

    def volumes(self, containers: list[Container]) -> list[Volume]:
        """All volumes, without sizes: those cost a walk of the disk, see `volume_sizes`."""
        users: dict[str, list[str]] = {}
        for one in containers:
            for name in one.volumes:
                users.setdefault(name, []).append(one.name)
        items = self.client().volumes().get("Volumes") or []
        return [parse.volume(item, users) for item in items]

    def volume_sizes(self) -> dict[str, int]:
        """Bytes by volume name, from GET /system/df; slow on a full disk."""
        client = self.client()
        url = client._url("/system/df")
        answer = client._result(client._get(url, params={"type": "volume"}), json=True)
        return {
            item["Name"]: int((item.get("UsageData") or {}).get("Size", -1))
            for item in answer.get("Volumes") or []
        }

    def networks(self, containers: list[Container]) -> list[Network]:
        """All networks with their members."""
        members: dict[str, list[Member]] = {}
        for one in containers:
            if one.running:
                for name, address in one.addresses:
                    members.setdefault(name, []).append(Member(one.name, address))
        return [parse.network(item, members) for item in self.client().networks()]

    def inspect_container(self, id: str) -> dict[str, Any]:
        """GET /containers/{id}/json as it is."""
        return cast(dict[str, Any], self.client().inspect_container(id))

    def inspect_image(self, id: str) -> dict[str, Any]:
        """GET /images/{id}/json as it is."""
        return cast(dict[str, Any], self.client().inspect_image(id))

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """GET /volumes/{name} as it is."""
        return cast(dict[str, Any], self.client().inspect_volume(name))

    def inspect_network(self, id: str) -> dict[str, Any]:
        """GET /networks/{id} as it is."""
        return cast(dict[str, Any], self.client().inspect_network(id))

    def reading(self, id: str) -> Mapping[str, Any]:
        """One GET /containers/{id}/stats without the second that the engine would wait for."""
        client = self.client()
        url = client._url("/containers/{0}/stats", id)
        params = {"stream": "0", "one-shot": "1"}
        return cast(Mapping[str, Any], client._result(client._get(url, params=params), json=True))
