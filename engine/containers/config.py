"""A container's Config and HostConfig: merged with the image, completed with Docker's defaults."""

import posixpath
from collections.abc import Mapping
from typing import Any

from engine.containers.record import Json
from engine.runtime.defaults import MASKED_PATHS, READONLY_PATHS

SHM_SIZE = 64 << 20

_CONFIG: Json = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
}
# present in an answer only when they hold something
_CONFIG_OPTIONAL = (
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "NetworkDisabled",
    "MacAddress",
    "StopSignal",
    "StopTimeout",
    "Shell",
)

_HOST_CONFIG: Json = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge",
    "PortBindings": None,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "Dns": None,
    "DnsOptions": None,
    "DnsSearch": None,
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": SHM_SIZE,
    "Runtime": "runc",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": None,
    "PidsLimit": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}
# shown only when asked for
_HOST_OPTIONAL = (
    "Mounts",
    "Tmpfs",
    "StorageOpt",
    "Sysctls",
    "Init",
    "Annotations",
    "KernelMemory",
    "KernelMemoryTCP",
)


def _words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _merged_env(asked: list[str], image: list[str] | None) -> list[str]:
    known = {entry.partition("=")[0] for entry in asked}
    return asked + [entry for entry in image or () if entry.partition("=")[0] not in known]


def _merge_command(config: Json, asked: Mapping[str, Any], image: Mapping[str, Any]) -> None:
    entrypoint, cmd = asked.get("Entrypoint"), asked.get("Cmd")
    config["Entrypoint"] = None if entrypoint is None else _words(entrypoint)
    config["Cmd"] = None if cmd is None else _words(cmd)
    if config["Entrypoint"]:
        return
    if not config["Cmd"]:
        config["Cmd"] = image.get("Cmd")
    if entrypoint is None:
        config["Entrypoint"] = image.get("Entrypoint")


def _merge_health(config: Json, image: Mapping[str, Any]) -> None:
    inherited = image.get("Healthcheck")
    asked = {key: value for key, value in (config.get("Healthcheck") or {}).items() if value}
    if "Healthcheck" in config:
        config["Healthcheck"] = asked
    if not inherited:
        return
    if not asked:
        config["Healthcheck"] = dict(inherited)
        return
    merged = dict(inherited)
    merged.update(asked)
    config["Healthcheck"] = merged


def complete_config(asked: Mapping[str, Any], image: Mapping[str, Any], id: str) -> Json:
    """The Config of a container: what the client asked, then the image, then defaults."""
    config: Json = {key: asked.get(key) or default for key, default in _CONFIG.items()}
    for key in _CONFIG_OPTIONAL:
        value = asked.get(key)
        # a StopTimeout of 0 says something, an empty Healthcheck is shown as one
        if value or (value is not None and key in ("StopTimeout", "Healthcheck")):
            config[key] = value
    _merge_command(config, asked, image)
    config["Env"] = _merged_env(asked.get("Env") or [], image.get("Env")) or None
    config["Labels"] = {**(image.get("Labels") or {}), **(asked.get("Labels") or {})}
    for key in ("User", "WorkingDir"):
        config[key] = asked.get(key) or image.get(key) or ""
    if config["WorkingDir"]:
        config["WorkingDir"] = posixpath.normpath(config["WorkingDir"])
    for key in ("StopSignal", "Shell"):
        if not config.get(key) and image.get(key):
            config[key] = image[key]
    for key in ("ExposedPorts", "Volumes"):
        union = {**(image.get(key) or {}), **(asked.get(key) or {})}
        if union:
            config[key] = union
    config["OnBuild"] = asked.get("OnBuild") or image.get("OnBuild")
    _merge_health(config, image)
    if not config["Hostname"]:
        config["Hostname"] = id[:12]
    return config


def command_of(config: Mapping[str, Any]) -> list[str]:
    """Entrypoint and Cmd as one list; an Entrypoint of one empty word means none."""
    entrypoint = config.get("Entrypoint") or []
    if list(entrypoint) == [""]:
        entrypoint = []
    return [*entrypoint, *(config.get("Cmd") or [])]


def _port_bindings(asked: Any) -> Json:
    found: Json = {}
    for port, bindings in asked.items():
        key = port if "/" in port else f"{port}/tcp"
        found[key] = [
            {"HostIp": one.get("HostIp") or "", "HostPort": str(one.get("HostPort") or "")}
            for one in bindings or [{}]
        ]
    return found


def complete_host_config(asked: Mapping[str, Any] | None, runtime: str) -> Json:
    """The HostConfig of a container: what the client asked and Docker's defaults."""
    asked = asked or {}
    host: Json = {}
    for key, default in _HOST_CONFIG.items():
        value = asked.get(key)
        host[key] = default if value is None else value
    for key in _HOST_OPTIONAL:
        if asked.get(key) not in (None, [], {}, 0) or asked.get(key) is False:
            host[key] = asked[key]
    host["ConsoleSize"] = [*host["ConsoleSize"], 0, 0][:2]
    if host["NetworkMode"] in ("", "default"):
        host["NetworkMode"] = "bridge"
    policy = host["RestartPolicy"] or {}
    host["RestartPolicy"] = {
        "Name": policy.get("Name") or "no",
        "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
    }
    log = host["LogConfig"] or {}
    host["LogConfig"] = {"Type": log.get("Type") or "json-file", "Config": log.get("Config") or {}}
    if host["PortBindings"] is not None:
        host["PortBindings"] = _port_bindings(host["PortBindings"])
    host["ShmSize"] = host["ShmSize"] or SHM_SIZE
    host["Runtime"] = host["Runtime"] or runtime
    for key in ("IpcMode", "CgroupnsMode"):
        host[key] = host[key] or "private"
    if host["Memory"] > 0 and not host["MemorySwap"]:
        host["MemorySwap"] = host["Memory"] * 2
    if host["MemorySwappiness"] == -1:  # the CLI's words for "as the machine does"
        host["MemorySwappiness"] = None
    host["PidsLimit"] = host["PidsLimit"] if (host["PidsLimit"] or 0) > 0 else None
    if _unlabelled(host):
        host["SecurityOpt"] = [*(host["SecurityOpt"] or ()), "label=disable"]
    _complete_paths(host, asked)
    return host


def _unlabelled(host: Json) -> bool:
    """Whether dockerd would take SELinux' label off: of what sees the machine's own things."""
    if "label=disable" in (host["SecurityOpt"] or ()):
        return False
    return bool(host["Privileged"] or "host" in (host["IpcMode"], host["PidMode"]))


def _complete_paths(host: Json, asked: Mapping[str, Any]) -> None:
    for key, default in (("MaskedPaths", MASKED_PATHS), ("ReadonlyPaths", READONLY_PATHS)):
        if asked.get(key) is not None:
            host[key] = asked[key]
        else:
            host[key] = None if host["Privileged"] else list(default)
