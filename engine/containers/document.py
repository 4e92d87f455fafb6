"""The shapes of the fields in a create or update request, checked before anything reads them."""

from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest

_TEXT, _WHOLE, _TRUTH, _LIST, _WORDS, _MAP = "string", "int64", "bool", "list", "words", "map"
_MAPS = "maps"

CONFIG = {
    _TEXT: "Hostname Domainname User Image WorkingDir MacAddress StopSignal",
    _TRUTH: "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce NetworkDisabled",
    _WORDS: "Env Shell OnBuild",
    _MAP: "ExposedPorts Volumes Labels Healthcheck HostConfig NetworkingConfig",
    _WHOLE: "StopTimeout",
}
HOST_CONFIG = {
    _TEXT: "ContainerIDFile NetworkMode VolumeDriver CgroupnsMode IpcMode Cgroup PidMode UTSMode"
    " UsernsMode Runtime Isolation CgroupParent CpusetCpus CpusetMems",
    _TRUTH: "AutoRemove Privileged PublishAllPorts ReadonlyRootfs OomKillDisable Init",
    _WHOLE: "OomScoreAdj ShmSize CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota"
    " CpuRealtimePeriod CpuRealtimeRuntime MemoryReservation MemorySwap MemorySwappiness PidsLimit"
    " KernelMemory KernelMemoryTCP CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth",
    _WORDS: "Binds VolumesFrom CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links"
    " SecurityOpt DeviceCgroupRules MaskedPaths ReadonlyPaths",
    _LIST: "ConsoleSize",
    _MAPS: "BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps"
    " BlkioDeviceWriteIOps Devices DeviceRequests Ulimits Mounts",
    _MAP: "LogConfig PortBindings RestartPolicy StorageOpt Tmpfs Sysctls Annotations",
}


_JSON_KINDS: dict[type, str] = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
_GO_TYPES = {
    _TEXT: "string",
    _WHOLE: "int64",
    _TRUTH: "bool",
    _LIST: "[]interface {}",
    _WORDS: "[]string",
    _MAP: "map[string]string",
    _MAPS: "[]struct",
}


def _fits(value: Any, shape: str) -> bool:
    match shape:
        case "string":
            return isinstance(value, str)
        case "int64":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "map":
            return isinstance(value, dict)
        case "words":
            return isinstance(value, list) and all(isinstance(word, str) for word in value)
        case "maps":
            return isinstance(value, list) and all(isinstance(one, dict) for one in value)
    return isinstance(value, list)


def _mismatch(value: Any, field: str, wanted: str) -> BadRequest:
    """The sentence that a client of dockerd gets from Go's decoder."""
    kind = _JSON_KINDS.get(type(value), "value")
    return BadRequest(
        f"invalid JSON: json: cannot unmarshal {kind} into Go struct field {field} of type {wanted}"
    )


def _check(document: Mapping[str, Any], shapes: Mapping[str, str], name: str) -> None:
    for shape, keys in shapes.items():
        for key in keys.split():
            value = document.get(key)
            if value is not None and not _fits(value, shape):
                raise _mismatch(value, f"{name}.{key}", _GO_TYPES[shape])


def check_config(document: Mapping[str, Any]) -> None:
    """Raises BadRequest when a field of a create request has the wrong JSON type."""
    _check(document, CONFIG, "")
    for key in ("Cmd", "Entrypoint"):
        value = document.get(key)
        if value is not None and not (isinstance(value, str) or _fits(value, _WORDS)):
            raise _mismatch(value, f".{key}", "[]string")
    check_host_config(document.get("HostConfig") or {})
    endpoints = (document.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if not isinstance(endpoints, dict) or not all(
        value is None or isinstance(value, dict) for value in endpoints.values()
    ):
        raise BadRequest("invalid JSON: NetworkingConfig.EndpointsConfig is not a map of maps")


def check_host_config(document: Mapping[str, Any]) -> None:
    """Raises BadRequest when a field of a HostConfig (or of an update) has the wrong JSON type."""
    _check(document, HOST_CONFIG, ".HostConfig")
    for bindings in (document.get("PortBindings") or {}).values():
        if bindings is not None and not _fits(bindings, _MAPS):
            raise _mismatch(bindings, ".HostConfig.PortBindings", "[]nat.PortBinding")
