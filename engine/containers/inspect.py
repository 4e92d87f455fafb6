"""A container as `GET /containers/{id}/json` shows it."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.containers.container import Container
from engine.containers.endpoints import networks_document, ports_map
from engine.containers.isolation import id_mappings
from engine.containers.record import Json, Record, Status
from engine.containers.start import LOG_NAME
from engine.networks import Sandbox
from engine.times import format_time


def state_document(container: Container) -> Json:
    """`State` of inspect."""
    state = container.record.state
    found: Json = {
        "Status": str(state.status),
        "Running": container.running_word,
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": format_time(state.started_at),
        "FinishedAt": format_time(state.finished_at),
    }
    if container.health is not None:
        found["Health"] = {
            "Status": container.health.status,
            "FailingStreak": container.health.failing_streak,
            "Log": list(container.health.log),
        }
    return found


def _apparmor(options: Sequence[str] | None) -> str:
    """The profile's name that was asked for: none is loaded, but it's shown as dockerd does."""
    asked = [one[9:] for one in options or () if one.startswith(("apparmor=", "apparmor:"))]
    return asked[-1] if asked else ""


def _network_settings(
    record: Record, sandbox: Sandbox | None, network_id: Callable[[str], str]
) -> Json:
    bridge = sandbox.endpoints.get("bridge") if sandbox else None
    before = record.endpoints.get("bridge") or {}
    return {
        "Bridge": "",
        "SandboxID": record.id if sandbox else "",
        "SandboxKey": str(sandbox.netns or "") if sandbox else "",
        "Ports": ports_map(record, sandbox),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": bridge.id if bridge else "",
        "Gateway": bridge.gateway4 if bridge else "",
        "GlobalIPv6Address": bridge.ipv6 if bridge else "",
        "GlobalIPv6PrefixLen": bridge.prefix6 if bridge else 0,
        "IPAddress": bridge.ipv4 if bridge else "",
        "IPPrefixLen": bridge.prefix4 if bridge else 0,
        "IPv6Gateway": bridge.gateway6 if bridge else "",
        "MacAddress": bridge.mac if bridge else before.get("MacAddress") or "",
        "Networks": networks_document(record, sandbox, network_id),
    }


def _host_config(record: Record) -> Json:
    if record.id_base <= 0:
        return record.host_config
    return {**record.host_config, "IDMappings": id_mappings(record.id_base)}


def inspect_document(
    container: Container,
    containers: str,
    snapshot: str,
    lower: Sequence[str],
    network_id: Callable[[str], str],
) -> Json:
    """Every field of API 1.51 but the sizes.

    Paths come as text, that of all containers, that of this one's writable layer and those below
    it: joining Path objects took half the time of an inspect.
    """
    record = container.record
    folder = f"{containers}/{record.id}"
    log = record.host_config["LogConfig"]["Type"] != "none"
    shown: dict[str, Any] = {
        "Id": record.id,
        "Created": format_time(record.created),
        "Path": record.path,
        "Args": record.args,
        "State": state_document(container),
        "Image": record.image_id,
        "ResolvConfPath": f"{folder}/resolv.conf",
        "HostnamePath": f"{folder}/hostname",
        "HostsPath": f"{folder}/hosts",
        "LogPath": f"{folder}/{LOG_NAME}" if log else "",
        "Name": f"/{record.name}",
        "RestartCount": record.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": _apparmor(record.host_config["SecurityOpt"]),
        "ExecIDs": sorted(container.exec_ids) or None,
        "HostConfig": _host_config(record),
        "GraphDriver": {
            "Data": {
                "ID": record.id,
                "LowerDir": ":".join(lower),
                "MergedDir": f"{folder}/rootfs",
                "UpperDir": f"{snapshot}/upper",
                "WorkDir": f"{snapshot}/work",
            },
            "Name": "overlay2",
        },
        "Mounts": [point.to_api() for point in record.mounts],
        "Config": record.config,
        "NetworkSettings": _network_settings(record, container.sandbox, network_id),
    }
    return shown
