"""Creating a container: everything checked and made before its record promises it."""

import asyncio
import contextlib
import socket
import time
from typing import Any

from engine.containers import isolation, limits
from engine.containers.config import command_of, complete_config, complete_host_config
from engine.containers.container import Container
from engine.containers.document import check_config
from engine.containers.endpoints import asked_endpoints, endpoint_config
from engine.containers.names import new_id
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.points import mount_points
from engine.containers.record import Json, Record
from engine.containers.rootfs import Roots
from engine.containers.store import Store
from engine.containers.validate import check_create, check_link
from engine.containers.views import settle as settle_views
from engine.containers.views import views
from engine.errors import BadRequest, EngineError, NotFound
from engine.images.model import Image
from engine.linux.removal import remove_tree
from engine.values import dataclass


@dataclass(frozen=True)
class Created:
    """The answer to a create request."""

    id: str
    warnings: list[str]


class Creator:
    """Makes containers from the body of `POST /containers/create`."""

    def __init__(
        self, store: Store, roots: Roots, neighbours: Neighbours, settings: Settings
    ) -> None:
        self._store = store
        self._ranges = isolation.Ranges(store)
        self._roots = roots
        self._neighbours = neighbours
        self._settings = settings

    async def create(self, body: Json, name: str = "", platform: str = "") -> Created:
        """Make a container. Raises BadRequest, NotFound (image), Conflict (name)."""
        if not body:
            raise BadRequest("config cannot be empty in order to create a container")
        check_config(body)
        id = new_id()
        reserved = self._store.reserve(name, id)
        try:
            image = self._image(body, platform)
            record, warnings = self._record(body, image, id, reserved)
            await self._make(record)
        except BaseException:
            self._store.release(reserved, id)
            raise
        finally:
            self._ranges.settle(id)
        return Created(id, warnings)

    def _image(self, body: Json, platform: str) -> Image:
        name = body.get("Image") or ""
        if not name:
            raise BadRequest("no image specified: the field Image is empty")
        image = self._neighbours.images.resolve(name)
        if platform:
            _check_platform(image, platform, name)
        return image

    def _record(self, body: Json, image: Image, id: str, name: str) -> tuple[Record, list[str]]:
        asked_host: dict[str, Any] = dict(body.get("HostConfig") or {})
        if not asked_host.get("CgroupnsMode") and not self._settings.machine.cgroup_v2:
            asked_host["CgroupnsMode"] = "host"
        config = complete_config(body, image.run_config, id)
        host = complete_host_config(asked_host, self._settings.runtime)
        command = command_of(config)
        if not command:
            raise BadRequest("no command specified")
        warnings = check_create(config, host, self._settings.machine)
        limits.settle(host, self._settings.machine)
        points = mount_points(
            config, host, self._settings.shares, lambda one: self._other(one).record
        )
        settle_views(points, self._roots.folder(id), self._neighbours.images.resolve)
        endpoints = {
            self._network_name(key): settings
            for key, settings in asked_endpoints(body.get("NetworkingConfig"), config, host).items()
        }
        for network, settings in endpoints.items():
            self._neighbours.networks.check(network, endpoint_config(settings, id))
        self._adopt_host_name(config, host, asked=bool(body.get("Hostname")))
        record = Record(
            id=id,
            name=name,
            created=time.time_ns(),
            image_id=image.id,
            chain_ids=list(image.chain_ids),
            config=config,
            host_config=host,
            path=command[0],
            args=command[1:],
            endpoints=endpoints,
            mounts=points,
            id_base=self._range(host, body.get("Labels") or {}, id),
        )
        return record, warnings

    def _range(self, host: Json, labels: dict[str, str], id: str) -> int:
        """The first of the container's ids outside; 0 with standard isolation."""
        if not isolation.enhanced(host, labels, self._settings.isolation):
            return 0
        return isolation.JOINED if isolation.joins(host) else self._ranges.take(id)

    def _network_name(self, reference: str) -> str:
        """The name of a network given by its id; a start complains of one that isn't there."""
        try:
            return self._neighbours.networks.resolve(reference).name
        except NotFound:
            return reference

    def _adopt_host_name(self, config: Json, host: Json, *, asked: bool) -> None:
        """A container in another's network has its name; one in the machine's, the machine's."""
        mode = host["NetworkMode"]
        for key in ("PidMode", "IpcMode"):
            if host[key].startswith("container:"):
                self._other(host[key].partition(":")[2])
        for link in host.get("Links") or ():
            name = check_link(link)
            if self._store.find(name) is None:
                raise BadRequest(f"could not get container for {name}: No such container: {name}")
        if mode.startswith("container:"):
            if asked:
                raise BadRequest("conflicting options: hostname and the network mode")
            found = self._store.find(mode.partition(":")[2])
            if found is None:  # start will say so, as dockerd does
                return
            other = found.record.config
            config["Hostname"], config["Domainname"] = other["Hostname"], other["Domainname"]
        elif asked and host["UTSMode"] == "host":
            raise BadRequest("conflicting options: hostname and the UTS mode")
        elif not asked and mode == "host":
            config["Hostname"] = socket.gethostname()

    def _other(self, reference: str) -> Container:
        """Another container that the request names. Raises BadRequest, as dockerd, not NotFound."""
        try:
            return self._store.get(reference)
        except NotFound as error:
            raise BadRequest(error.message) from error

    async def _make(self, record: Record) -> None:
        folder = self._roots.folder(record.id)
        made: list[str] = []
        container = Container(record)
        try:
            (folder / "rootfs").mkdir(parents=True)
            await self._neighbours.snapshots.prepare(record.id, record.chain_ids)
            for key, point in views(record):
                await self._neighbours.snapshots.prepare(key, point.options["chain"])
            if record.mounts:
                made = await self._roots.settle_volumes(record)
                await self._roots.fill_volumes(record)
            await self._store.add(container)
        except BaseException:
            await asyncio.shield(self._undo(record, made))
            raise
        self._store.tell(container, "create")

    async def _undo(self, record: Record, volumes: list[str]) -> None:
        for volume in volumes:
            with contextlib.suppress(EngineError):
                await self._neighbours.volumes.remove(volume, force=True)
        for key in (record.id, *(key for key, _ in views(record))):
            await self._neighbours.snapshots.remove(key)
        folder = self._roots.folder(record.id)
        await asyncio.to_thread(remove_tree, folder)


_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


def _check_platform(image: Image, platform: str, name: str) -> None:
    words = platform.lower().split("/")
    system, architecture = (words[0], words[1]) if len(words) > 1 else ("linux", words[0])
    if len(words) == 1 and words[0] == "linux":
        return
    architecture = _ARCHITECTURES.get(architecture, architecture)
    have = (image.config.get("os") or "linux", image.config.get("architecture") or "")
    if have[1] and (system, architecture) != have:
        raise NotFound(
            f"image with reference {name} was found but its platform ({have[0]}/{have[1]}) "
            f"does not match the specified platform ({system}/{architecture})"
        )
