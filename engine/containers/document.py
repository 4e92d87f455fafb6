"""The shapes of the fields in a create or update request, checked before anything reads them."""

from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest

_TEXT, _WHOLE, _TRUTH, _LIST, _WORDS, _MAP = "string", "int64", "bool", "list", "words", "map"
_MAPS = "maps"
_TEXTS = "map of text"

CONFIG = {
    _TEXT: "Hostname Domainname User Image WorkingDir MacAddress StopSignal",
    _TRUTH: "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce NetworkDisabled"
    " ArgsEscaped",
    _WORDS: "Env Shell OnBuild",
    _MAP: "ExposedPorts Volumes Healthcheck HostConfig NetworkingConfig",
    _TEXTS: "Labels",
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
    _MAP: "LogConfig PortBindings RestartPolicy",
    _TEXTS: "StorageOpt Tmpfs Sysctls Annotations",
}
_EXEC = {
    _TEXT: "User DetachKeys WorkingDir",
    _TRUTH: "Privileged Tty AttachStdin AttachStdout AttachStderr",
    _WORDS: "Env Cmd",
    _LIST: "ConsoleSize",
}
_HEALTH = {_WORDS: "Test", _WHOLE: "Interval Timeout Retries StartPeriod StartInterval"}
_RATE = {_TEXT: "Path", _WHOLE: "Rate"}
# what is inside the maps, and the lists of maps, of a HostConfig
_INSIDE: dict[str, dict[str, str]] = {
    "LogConfig": {_TEXT: "Type", _TEXTS: "Config"},
    "RestartPolicy": {_TEXT: "Name", _WHOLE: "MaximumRetryCount"},
    "BlkioWeightDevice": {_TEXT: "Path", _WHOLE: "Weight"},
    "BlkioDeviceReadBps": _RATE,
    "BlkioDeviceWriteBps": _RATE,
    "BlkioDeviceReadIOps": _RATE,
    "BlkioDeviceWriteIOps": _RATE,
    "Devices": {_TEXT: "PathOnHost PathInContainer CgroupPermissions"},
    "DeviceRequests": {
        _TEXT: "Driver",
        _WHOLE: "Count",
        _WORDS: "DeviceIDs",
        _LIST: "Capabilities",
        _TEXTS: "Options",
    },
    "Ulimits": {_TEXT: "Name", _WHOLE: "Soft Hard"},
    "Mounts": {
        _TEXT: "Type Source Target Consistency",
        _TRUTH: "ReadOnly",
        _MAP: "BindOptions VolumeOptions ImageOptions TmpfsOptions ClusterOptions",
    },
}
_MOUNT_OPTIONS: dict[str, dict[str, str]] = {
    "BindOptions": {
        _TEXT: "Propagation",
        _TRUTH: "NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive",
    },
    "VolumeOptions": {
        _TEXT: "Subpath",
        _TRUTH: "NoCopy",
        _TEXTS: "Labels",
        _MAP: "DriverConfig",
    },
    "ImageOptions": {_TEXT: "Subpath"},
    "TmpfsOptions": {_WHOLE: "SizeBytes Mode", _LIST: "Options"},
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
    _TEXTS: "map[string]string",
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
        case "map of text":
            return isinstance(value, dict)
        case "words":
            return isinstance(value, list) and all(isinstance(word, str) for word in value)
        case "maps":
            return isinstance(value, list) and all(isinstance(one, dict) for one in value)
    return isinstance(value, list)


def _kind(value: Any) -> str:
    return _JSON_KINDS.get(type(value), "value")


def _mismatch(value: Any, name: str, wanted: str, *, field: str = "Go struct field ") -> BadRequest:
    """The sentence that a client of dockerd gets from Go's decoder."""
    return BadRequest(
        f"invalid JSON: json: cannot unmarshal {_kind(value)} into {field}{name} of type {wanted}"
    )


def _check(document: Mapping[str, Any], shapes: Mapping[str, str], name: str) -> None:
    for shape, keys in shapes.items():
        for key in keys.split():
            value = document.get(key)
            if value is not None and not _fits(value, shape):
                raise _mismatch(value, f"{name}.{key}", _GO_TYPES[shape])
            if shape == _TEXTS:
                for word, text in (value or {}).items():
                    if text is not None and not isinstance(text, str):
                        raise _mismatch(text, f"{name}.{key}.{word}", "string")


def _check_inside(document: Mapping[str, Any], owner: str) -> None:
    for key, shapes in _INSIDE.items():
        value = document.get(key)
        if isinstance(value, list):
            for number, one in enumerate(value):
                _check(one, shapes, f"{owner}.{key}.{number}")
        elif value:
            _check(value, shapes, f"{owner}.{key}")
    for number, request in enumerate(document.get("DeviceRequests") or ()):
        for place, group in enumerate(request.get("Capabilities") or ()):
            if not _fits(group, _WORDS):
                name = f"{owner}.DeviceRequests.{number}.Capabilities.{place}"
                raise _mismatch(group, name, "[]string", field="")
    for number, mount in enumerate(document.get("Mounts") or ()):
        name = f"{owner}.Mounts.{number}"
        for key, shapes in _MOUNT_OPTIONS.items():
            _check(mount.get(key) or {}, shapes, f"{name}.{key}")
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        _check(driver, {_TEXT: "Name", _TEXTS: "Options"}, f"{name}.VolumeOptions.DriverConfig")
        for place, pair in enumerate((mount.get("TmpfsOptions") or {}).get("Options") or ()):
            if not _fits(pair, _WORDS):
                raise _mismatch(pair, f"{name}.TmpfsOptions.Options.{place}", "[]string", field="")
        mode = (mount.get("TmpfsOptions") or {}).get("Mode") or 0
        if mode < 0:
            raise BadRequest(
                f"invalid JSON: json: cannot unmarshal number {mode} into Go struct field "
                f"{name}.TmpfsOptions.Mode of type fs.FileMode"
            )


def _check_size(size: Any, owner: str) -> None:
    for number, value in enumerate(size or ()):
        if not _fits(value, _WHOLE) or value < 0:
            shown = f"number {value}" if _fits(value, _WHOLE) else _kind(value)
            raise BadRequest(
                f"invalid JSON: json: cannot unmarshal {shown} into {owner}.ConsoleSize."
                f"{number} of type uint"
            )


def check_config(document: Mapping[str, Any]) -> None:
    """Raises BadRequest when a field of a create request has the wrong JSON type."""
    _check(document, CONFIG, "")
    for key in ("Cmd", "Entrypoint"):
        value = document.get(key)
        if value is not None and not (isinstance(value, str) or _fits(value, _WORDS)):
            raise _mismatch(value, f".{key}", "[]string")
    _check(document.get("Healthcheck") or {}, _HEALTH, ".Healthcheck")
    check_host_config(document.get("HostConfig") or {})
    endpoints = (document.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if not isinstance(endpoints, dict) or not all(
        value is None or isinstance(value, dict) for value in endpoints.values()
    ):
        raise BadRequest("invalid JSON: NetworkingConfig.EndpointsConfig is not a map of maps")


def check_exec(document: Mapping[str, Any]) -> None:
    """Raises BadRequest when a field of an exec's document has the wrong JSON type."""
    _check(document, _EXEC, "ExecOptions")
    for value in document.get("ConsoleSize") or ():
        if not _fits(value, _WHOLE) or value < 0:
            raise _mismatch(value, "ExecOptions.ConsoleSize", "uint")


def check_host_config(document: Mapping[str, Any], owner: str = ".HostConfig") -> None:
    """Raises BadRequest when a field of a HostConfig (or of an update) has the wrong JSON type."""
    _check(document, HOST_CONFIG, owner)
    _check_inside(document, owner)
    _check_size(document.get("ConsoleSize"), owner)
    for port, bindings in (document.get("PortBindings") or {}).items():
        if bindings is not None and not _fits(bindings, _MAPS):
            raise _mismatch(bindings, f"{owner}.PortBindings", "[]nat.PortBinding")
        escaped = port.replace("/", "~1")  # as in a JSON pointer
        for number, one in enumerate(bindings or ()):
            _check(one, {_TEXT: "HostIp HostPort"}, f"{owner}.PortBindings.{escaped}.{number}")
