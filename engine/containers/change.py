"""Changes to a container that exists: its name, its limits, its networks."""

import contextlib
from pathlib import Path
from typing import Any

from engine.containers import limits
from engine.containers.container import Container
from engine.containers.document import check_host_config
from engine.containers.endpoints import document_of, endpoint_config
from engine.containers.names import check_name
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.record import Json
from engine.containers.store import Store
from engine.containers.validate import check_policy
from engine.errors import BadRequest, Conflict, EngineError, Forbidden
from engine.networks import EndpointConfig, Network, Sandbox
from engine.networks.files import resolv_text, write_in_place

_LARGEST_HOSTS = 1 << 20
# The fields of an update that change limits; the others of a HostConfig can't change.
_LIMITS = (
    "BlkioWeight",
    "CpuShares",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
)
# those that hold from the start of a container to its end
_FIXED = (
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CgroupParent",
    "CpuCount",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Init",
    "KernelMemory",
    "KernelMemoryTCP",
    "MemorySwappiness",
    "Ulimits",
)


def _has_alias(link: str, alias: str) -> bool:
    name, _, its_alias = link.partition(":")
    return (its_alias.rpartition("/")[2] or name) == alias


def _drop_host(path: Path, name: str) -> None:
    if path.stat().st_size < _LARGEST_HOSTS:  # it's the container's to write
        lines = path.read_text("utf-8", "replace").splitlines(keepends=True)
        write_in_place(path, "".join(one for one in lines if one.split()[1:2] != [name]))


class Changer:
    """Renames, updates, connects."""

    def __init__(self, store: Store, neighbours: Neighbours, settings: Settings) -> None:
        self._store = store
        self._neighbours = neighbours
        self._settings = settings

    async def rename(self, reference: str, name: str) -> None:
        """Give another name. Raises BadRequest, Conflict (taken)."""
        if not reference or not name:
            raise BadRequest("Neither old nor new names may be empty")
        container = self._store.get(reference)
        try:
            bare = check_name(name if name.startswith("/") else f"/{name}")
        except BadRequest as error:
            raise BadRequest(f"Error when allocating new name: {error.message}") from error
        async with container.lock:
            old = container.name
            if bare == old:
                raise BadRequest("Renaming a container with the same name as its current name")
            try:
                self._store.reserve(bare, container.id)
            except Conflict as error:
                raise Conflict(f"Error when allocating new name: {error.message}") from error
            container.record.name = bare
            try:
                await self._store.save(container, durable=True)
            except BaseException:
                container.record.name = old
                self._store.release(bare, container.id)
                raise
            self._store.release(old, container.id)
        self._neighbours.networks.rename(container.id, bare)
        self._store.tell(container, "rename", oldName=f"/{old}")

    async def unlink(self, reference: str) -> None:
        """Take a link away, given as `NAME/ALIAS`. Raises NotFound, EngineError for a bare name."""
        self._store.get(reference)
        _, parent = self._store.linked(reference)
        if parent is None:
            raise EngineError("Conflict, cannot remove the default link name of the container")
        async with parent.lock:
            host, alias = parent.record.host_config, reference.rpartition("/")[2]
            kept = [link for link in host["Links"] if not _has_alias(link, alias)]
            parent.record.host_config = {**host, "Links": kept or None}
            await self._store.save(parent, durable=True)
            with contextlib.suppress(OSError):
                _drop_host(self._settings.folder / parent.id / "hosts", alias)

    async def update(self, reference: str, body: Json) -> list[str]:
        """Change limits and the restart policy; returns warnings. Raises BadRequest."""
        container = self._store.get(reference)
        check_host_config(body, "UpdateConfig")
        async with container.lock:
            if container.removing:
                raise Conflict(
                    f"Cannot update container {container.id}: container is marked for removal "
                    'and cannot be "update"'
                )
            warnings = await self._update(container, body)
        self._store.tell(container, "update")
        return warnings

    async def _update(self, container: Container, body: Json) -> list[str]:
        if body.get("IOMaximumIOps") or body.get("IOMaximumBandwidth"):
            raise BadRequest(
                "Invalid QoS settings: linux does not support "
                "Maximum IO Bandwidth or Maximum IO IOps"
            )
        host = dict(container.record.host_config)
        asked = {key: body[key] for key in _LIMITS if body.get(key)}
        for key in ("PidsLimit", "OomKillDisable"):
            if body.get(key) is not None:
                asked[key] = body[key]
        policy = body.get("RestartPolicy") or {}
        if policy.get("Name"):
            self._check_policy(container, policy)
            asked["RestartPolicy"] = {
                "Name": policy["Name"],
                "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
            }
        warnings = limits.check(asked, self._settings.machine)
        _check_together(container.id, host, asked)
        for key, able in (
            ("BlkioWeight", self._settings.machine.blkio_weight),
            ("OomKillDisable", not self._settings.machine.cgroup_v2),
        ):
            if not able:
                asked.pop(key, None)
        host.update(asked)
        if container.live and set(asked) - {"RestartPolicy"}:
            changed = limits.resources({**_NOTHING, **asked}, self._settings.machine)
            try:
                await self._neighbours.runtime.update(container.id, changed)
            except EngineError as error:
                raise EngineError(
                    f"Cannot update container {container.id}: {error.message}"
                ) from error
        container.record.host_config = host
        await self._store.save(container, durable=True)
        if body.get("CpuPercent"):
            warnings.append("linux does not support CPU percent. Percent discarded.")
        return warnings + [
            f"{key} can't be changed after the container was made. {key} discarded."
            for key in _FIXED
            if body.get(key)
        ]

    def _check_policy(self, container: Container, policy: Json) -> None:
        if container.record.auto_remove and policy["Name"] != "no":
            raise BadRequest(
                "Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        check_policy(policy)

    async def connect_network(
        self, container: str, network: Network, settings: EndpointConfig
    ) -> None:
        """Join a network, now if the container runs, else at its next start."""
        one = self._store.get(container)
        async with one.lock:
            record = one.record
            if record.network_mode in ("host",) or network.name == "host":
                raise BadRequest(
                    "container cannot be connected to host network - container is already "
                    "connected to host network"
                    if record.network_mode == "host" and network.name == "host"
                    else "cannot connect container to host network - container must be created in "
                    "host network mode"
                    if network.name == "host"
                    else "container sharing network namespace with another container or host "
                    "cannot be connected to any other network"
                )
            if record.network_mode.startswith("container:"):
                raise BadRequest(
                    "container sharing network namespace with another container or host cannot be "
                    "connected to any other network"
                )
            if one.live and network.name in record.endpoints:
                raise Forbidden(
                    f"endpoint with name {one.name} already exists in network {network.name}"
                )
            document = document_of(settings, one.id)
            sandbox = await self._neighbours.networks.connect(
                one.id, network.id, endpoint_config(document, one.id), one.live
            )
            if "none" in record.endpoints and not one.live:
                del record.endpoints["none"]
            record.endpoints[network.name] = document
            if sandbox is not None:
                self._follow(one, sandbox)
            await self._store.save(one, durable=True)

    def _follow(self, one: Container, sandbox: Sandbox) -> None:
        """Take the new sandbox; /etc/resolv.conf follows unless the container has changed it."""
        path = self._settings.folder / one.id / "resolv.conf"
        host = one.record.host_config
        before = resolv_text(one.sandbox.resolv_conf if one.sandbox else "", host)
        with contextlib.suppress(OSError):
            # it's the container's to write: of any size
            if path.stat().st_size == len(before.encode()) and path.read_bytes() == before.encode():
                write_in_place(path, resolv_text(sandbox.resolv_conf, host))
        one.sandbox, one.record.sandbox = sandbox, sandbox.to_record()

    async def disconnect_network(self, container: str, network: Network, force: bool) -> None:
        """Leave a network; `force` also for a container that's gone."""
        one = self._store.find(container)
        if one is None and force:
            await self._neighbours.networks.disconnect(container, network.id)
            return
        one = self._store.get(container)
        async with one.lock:
            record = one.record
            if network.name == "host" and record.network_mode == "host":
                raise BadRequest(
                    "container cannot be disconnected from host network or connected "
                    "to host network"
                )
            if network.name not in record.endpoints:
                raise Forbidden(f"container {one.id} is not connected to network {network.name}")
            sandbox = None
            if one.live:
                sandbox = await self._neighbours.networks.disconnect(one.id, network.id)
            del record.endpoints[network.name]
            if sandbox is not None:
                self._follow(one, sandbox)
            await self._store.save(one, durable=True)


_NOTHING: dict[str, Any] = {"MemorySwappiness": None}


def _check_together(id: str, host: Json, asked: Json) -> None:
    """Rules about limits that change while others stay. Raises Conflict."""
    if refusal := _contradiction(host, asked):
        raise Conflict(f"Cannot update container {id}: {refusal}")


def _contradiction(host: Json, asked: Json) -> str:
    """In dockerd's words; empty without one."""
    for first, word, fixed, other in (
        ("NanoCpus", "Nano CPUs", "CpuPeriod", "CPU Period"),
        ("NanoCpus", "Nano CPUs", "CpuQuota", "CPU Quota"),
        ("CpuPeriod", "CPU Period", "NanoCpus", "NanoCPUs"),
        ("CpuQuota", "CPU Quota", "NanoCpus", "NanoCPUs"),
    ):
        if asked.get(first) and host[fixed]:
            return f"Conflicting options: {word} cannot be updated as {other} has already been set"
    memory = asked.get("Memory") or 0
    if memory and not asked.get("MemorySwap") and memory > host["MemorySwap"]:
        return (
            "Memory limit should be smaller than already set memoryswap limit, "
            "update the memoryswap at the same time"
        )
    return ""
