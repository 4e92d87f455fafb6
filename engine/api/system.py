"""Routes about the engine itself: ping, version, info."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.api.http import Request, Response, Route, json_response
from engine.api.router import API_VERSION, MIN_API_VERSION
from engine.times import format_time

_API = ".".join(map(str, API_VERSION))
_MIN_API = ".".join(map(str, MIN_API_VERSION))
_INDEX = "https://index.docker.io/v1/"


class Limits(Protocol):
    """Which limits the kernel can enforce."""

    @property
    def memory(self) -> bool: ...
    @property
    def swap(self) -> bool: ...
    @property
    def cpu_quota(self) -> bool: ...
    @property
    def cpu_shares(self) -> bool: ...
    @property
    def cpuset(self) -> bool: ...
    @property
    def pids(self) -> bool: ...
    @property
    def oom_kill_disable(self) -> bool: ...


class Machine(Protocol):
    """The machine; `system.Machine` satisfies it."""

    @property
    def hostname(self) -> str: ...
    @property
    def kernel(self) -> str: ...
    @property
    def operating_system(self) -> str: ...
    @property
    def os_version(self) -> str: ...
    @property
    def architecture(self) -> str: ...
    @property
    def go_architecture(self) -> str: ...
    @property
    def cpus(self) -> int: ...
    @property
    def memory(self) -> int: ...
    @property
    def cgroup_version(self) -> int: ...
    @property
    def limits(self) -> Limits: ...


class Component(Protocol):
    """A program that the engine consists of."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def commit(self) -> str: ...


class Proxies(Protocol):
    """Addresses of proxies, and the same without passwords."""

    @property
    def http(self) -> str: ...
    @property
    def https(self) -> str: ...
    @property
    def bypass(self) -> str: ...
    @property
    def masked(self) -> "Proxies": ...


class Registries(Protocol):
    """How registries are reached; see `registry.Settings`."""

    @property
    def mirrors(self) -> Sequence[str]: ...
    @property
    def insecure(self) -> Sequence[str]: ...
    @property
    def proxies(self) -> Proxies: ...
    @property
    def refused(self) -> str: ...


class Overview(Protocol):
    """What `docker info` counts and names; see `about.Overview`."""

    @property
    def id(self) -> str: ...
    @property
    def root(self) -> str: ...
    @property
    def containers(self) -> Mapping[str, int]: ...
    @property
    def images(self) -> int: ...
    @property
    def listeners(self) -> int: ...
    @property
    def descriptors(self) -> int: ...
    @property
    def file_system(self) -> str: ...
    @property
    def forwarding(self) -> bool: ...
    @property
    def runtimes(self) -> Mapping[str, str]: ...
    @property
    def default_runtime(self) -> str: ...
    @property
    def init(self) -> str: ...
    @property
    def registries(self) -> "Registries": ...
    @property
    def security(self) -> Sequence[str]: ...


class Backend(Protocol):
    """What these routes need from the engine; `about.About` satisfies it."""

    @property
    def machine(self) -> Machine: ...
    @property
    def version(self) -> str: ...
    @property
    def commit(self) -> str: ...
    @property
    def built(self) -> str: ...
    async def components(self) -> Sequence[Component]: ...
    async def overview(self) -> Overview: ...


def routes(backend: Backend) -> Sequence[Route]:
    """The routes of the engine itself."""

    async def ping(request: Request) -> Response:
        return Response(200, b"OK" if request.method == "GET" else b"", _PING)

    async def options(request: Request) -> Response:
        return Response()

    async def version(request: Request) -> Response:
        return json_response(version_document(backend, await backend.components()))

    async def info(request: Request) -> Response:
        components = await backend.components()
        return json_response(info_document(backend, await backend.overview(), components))

    return (
        Route("OPTIONS", "/{path:path}", options),
        Route("GET", "/_ping", ping),
        Route("HEAD", "/_ping", ping),
        Route("GET", "/version", version),
        Route("GET", "/info", info),
    )


_PING = {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Content-Type": "text/plain; charset=utf-8",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}


# Clients ask for Go's version; the engine tells what it runs on.
_LANGUAGE = "python{}.{}.{}".format(*sys.version_info)


def version_document(backend: Backend, components: Sequence[Component]) -> dict[str, Any]:
    """The answer of GET /version."""
    machine = backend.machine
    facts = {
        "ApiVersion": _API,
        "MinAPIVersion": _MIN_API,
        "GitCommit": backend.commit,
        "GoVersion": _LANGUAGE,
        "Os": "linux",
        "Arch": machine.go_architecture,
        "KernelVersion": machine.kernel,
        "BuildTime": backend.built,
    }
    details = {**facts, "Experimental": "false"}
    return {
        "Platform": {"Name": "Cove"},
        "Version": backend.version,
        **facts,
        "Components": [
            {"Name": "Engine", "Version": backend.version, "Details": details},
            *(
                {"Name": one.name, "Version": one.version, "Details": {"GitCommit": one.commit}}
                for one in components
            ),
        ],
    }


def info_document(
    backend: Backend, overview: Overview, components: Sequence[Component]
) -> dict[str, Any]:
    """The answer of GET /info; keys that clients read stay there even where nothing is to tell."""
    counts = overview.containers
    machine = backend.machine
    return {
        "ID": overview.id,
        "Containers": sum(counts.values()),
        "ContainersRunning": counts["running"],
        "ContainersPaused": counts["paused"],
        "ContainersStopped": counts["stopped"],
        "Images": overview.images,
        "Driver": "overlay2",
        "DriverStatus": [
            ["Backing Filesystem", overview.file_system],
            ["Supports d_type", "true"],
            ["Using metacopy", "false"],
            ["Native Overlay Diff", "true"],
            ["userxattr", "false"],
        ],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        **_limits(machine),
        "IPv4Forwarding": overview.forwarding,
        "Debug": False,
        "NFd": overview.descriptors,
        "NGoroutines": 1,
        "SystemTime": format_time(time.time_ns()),
        "LoggingDriver": "json-file",
        "NEventsListener": overview.listeners,
        **_machine(machine),
        "IndexServerAddress": _INDEX,
        "RegistryConfig": _registries(overview.registries),
        "GenericResources": None,
        "DockerRootDir": overview.root,
        "HttpProxy": overview.registries.proxies.masked.http,
        "HttpsProxy": overview.registries.proxies.masked.https,
        "NoProxy": overview.registries.proxies.masked.bypass,
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": backend.version,
        "Runtimes": {name: {"path": path} for name, path in overview.runtimes.items()},
        "DefaultRuntime": overview.default_runtime,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        # Containers outlive the engine, which is what this says.
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": overview.init,
        **_commits(components),
        "SecurityOptions": list(overview.security),
        "CDISpecDirs": [],
        "FirewallBackend": {"Driver": "nftables"},
        "Warnings": _warnings(machine.limits, overview.forwarding, overview.registries.refused),
    }


def _limits(machine: Machine) -> dict[str, Any]:
    limits = machine.limits
    return {
        "MemoryLimit": limits.memory,
        "SwapLimit": limits.swap,
        "CpuCfsPeriod": limits.cpu_quota,
        "CpuCfsQuota": limits.cpu_quota,
        "CPUShares": limits.cpu_shares,
        "CPUSet": limits.cpuset,
        "PidsLimit": limits.pids,
        "OomKillDisable": limits.oom_kill_disable,
    }


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(machine.cgroup_version),
        "KernelVersion": machine.kernel,
        "OperatingSystem": machine.operating_system,
        "OSVersion": machine.os_version,
        "OSType": "linux",
        "Architecture": machine.architecture,
        "NCPU": machine.cpus,
        "MemTotal": machine.memory,
        "Name": machine.hostname,
    }


def _registries(settings: Registries) -> dict[str, Any]:
    mirrors = [f"{each}/" for each in settings.mirrors]
    index = {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True}
    networks = [each for each in settings.insecure if "/" in each]
    hosts = {
        each: {"Name": each, "Mirrors": [], "Secure": False, "Official": False}
        for each in settings.insecure
        if "/" not in each
    }
    return {
        "InsecureRegistryCIDRs": networks,
        "IndexConfigs": {"docker.io": index, **hosts},
        "Mirrors": mirrors,
    }


def _commits(components: Sequence[Component]) -> dict[str, Any]:
    """dockerd's three slots, filled with what does their work here."""
    known = {one.name: one.commit or one.version for one in components}
    runtime = next((known[name] for name in ("crun", "runc") if name in known), "")
    return {
        "ContainerdCommit": {"ID": known.get("conmon", "")},
        "RuncCommit": {"ID": runtime},
        "InitCommit": {"ID": known.get("docker-init", "")},
    }


def _warnings(limits: Limits, forwarding: bool, refused: str) -> list[str] | None:
    found = [f"WARNING: {refused}; the engine goes on without this file"] if refused else []
    if not limits.memory:
        found.append("WARNING: No memory limit support")
    elif not limits.swap:
        found.append("WARNING: No swap limit support")
    if not limits.cpu_quota:
        found.append("WARNING: No cpu cfs quota support")
    if not limits.cpu_shares:
        found.append("WARNING: No cpu shares support")
    if not limits.cpuset:
        found.append("WARNING: No cpuset support")
    if not limits.pids:
        found.append("WARNING: No pids limit support")
    if not forwarding:
        found.append("WARNING: IPv4 forwarding is disabled")
    return found or None
