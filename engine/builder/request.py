"""What a client asks of one build."""

from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest
from engine.runtime.resources import Resources
from engine.runtime.spec import Rlimit
from engine.values import dataclass, field

_LEAST_MEMORY = 6 << 20


@dataclass(frozen=True)
class RunSettings:
    """What holds for every RUN step. shm_size in bytes, 0 is the default.

    network: "" and "default" are the default bridge. extra_hosts: `name:address`.
    """

    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    rlimits: tuple[Rlimit, ...] = ()
    shm_size: int = 0
    cgroup_parent: str = ""


@dataclass(frozen=True)
class Request:
    """One build. dockerfile: its path in the context. remote: a URL or repository as context.

    args: build arguments, None where only a name was given. auth: credentials by registry.
    classic: where the builders differ, as the classic one: what a RUN writes to a volume is lost,
    and a folder's copy has a plain mode.
    """

    dockerfile: str = ""
    remote: str = ""
    tags: tuple[str, ...] = ()
    target: str = ""
    args: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    cache_from: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    remove: bool = True
    quiet: bool = False
    classic: bool = True
    run: RunSettings = field(default_factory=RunSettings)
    auth: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Request":
        """From plain fields, as the routes read them: `limits` by Docker's names (memswap...).

        Raises BadRequest.
        """
        own = dict(asked)
        limits = own.pop("limits", {})
        if 0 < limits.get("memory", 0) < _LEAST_MEMORY:
            raise BadRequest("Minimum memory limit allowed is 6MB")
        run = RunSettings(
            network=own.pop("network", ""),
            extra_hosts=tuple(own.pop("extra_hosts", ())),
            rlimits=tuple(Rlimit(*words) for words in own.pop("ulimits", ())),
            resources=Resources(
                memory=limits.get("memory", 0),
                memory_swap=limits.get("memswap", 0),
                cpu_shares=limits.get("cpushares", 0),
                cpu_period=limits.get("cpuperiod", 0),
                cpu_quota=limits.get("cpuquota", 0),
                cpuset_cpus=limits.get("cpusetcpus", ""),
                cpuset_mems=limits.get("cpusetmems", ""),
            ),
            shm_size=limits.get("shmsize", 0),
            cgroup_parent=limits.get("cgroupparent", ""),
        )
        return cls(run=run, **own)
