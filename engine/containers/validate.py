"""What a client may ask of a container: refused in Docker's words, or told in a warning."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from engine.containers import limits
from engine.containers.isolation import is_option
from engine.containers.logopts import check_log
from engine.containers.signals import parse_signal
from engine.errors import BadRequest, EngineError
from engine.runtime.capabilities import ALL

RUNTIMES = frozenset({"crun", "runc", "io.containerd.runc.v2"})
_BOOLEANS = frozenset("1 t T true TRUE True 0 f F false FALSE False".split())
_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_SYSCTLS = frozenset(
    {
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.hostname",
        "kernel.domainname",
    }
)
_BOUND_PORT = re.compile(r"^\d+(/(tcp|udp|sctp))?$")
_PORT = re.compile(r"^\d+(-\d+)?(/(tcp|udp|sctp))?$")


def check_policy(policy: Mapping[str, Any], *, auto_remove: bool = False) -> None:
    """Raises BadRequest on a restart policy that Docker doesn't know or can't combine."""
    name, count = policy.get("Name") or "", policy.get("MaximumRetryCount") or 0
    if name and name not in _POLICIES:
        raise BadRequest(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', "
            "'on-failure', or 'unless-stopped'"
        )
    if count < 0:
        raise BadRequest("invalid restart policy: maximum retry count cannot be negative")
    if count and name != "on-failure":
        raise BadRequest(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if auto_remove and name not in ("", "no"):
        raise BadRequest("can't create 'AutoRemove' container with restart policy")


def check_create(
    config: Mapping[str, Any], host: Mapping[str, Any], machine: limits.Machine
) -> list[str]:
    """Warnings for the answer. Raises BadRequest or Unsupported for what can't be done."""
    check_policy(host["RestartPolicy"], auto_remove=bool(host["AutoRemove"]))
    warnings = limits.check(host, machine)
    _check_config(config)
    _check_network(config, host)
    _check_namespaces(host)
    _check_runtime(host)
    _check_capabilities(host)
    warnings += check_log(host["LogConfig"])
    warnings += _check_security(host)
    if config.get("MacAddress"):
        warnings.append(
            "The container-wide MacAddress field is now deprecated. "
            "It should be specified in EndpointsConfig instead."
        )
    if host["Cgroup"]:
        warnings.append("A container can't join another's cgroup. Cgroup discarded.")
    if host["NetworkMode"] == "host" and host["PortBindings"]:
        warnings.append("Published ports are discarded when using host network mode")
    _check_sysctls(host)
    return warnings


def _check_config(config: Mapping[str, Any]) -> None:
    folder = config.get("WorkingDir") or ""
    if folder and not folder.startswith("/"):
        raise BadRequest(
            f"the working directory '{folder}' is invalid, it needs to be an absolute path"
        )
    for entry in config.get("Env") or ():
        if not entry or entry.startswith("="):
            raise BadRequest(f"invalid environment variable: {entry}")
    if config.get("StopSignal"):
        parse_signal(config["StopSignal"])
    for port in config.get("ExposedPorts") or ():
        if not _PORT.match(port):
            raise BadRequest(f"invalid port specification: {port}")
    _check_health(config.get("Healthcheck") or {})
    if len(config.get("Hostname") or "") > 63:
        raise BadRequest(f"invalid hostname: {config['Hostname']}: longer than 63 characters")


def _check_health(health: Mapping[str, Any]) -> None:
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        value = health.get(key) or 0
        if value and value < 1_000_000:
            raise BadRequest(f"{key} in Healthcheck cannot be less than 1ms")
    if (health.get("Retries") or 0) < 0:
        raise BadRequest("Retries in Healthcheck cannot be negative")


def _check_network(config: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    mode = host["NetworkMode"]
    for port, bindings in (host["PortBindings"] or {}).items():
        number = port.partition("/")[0]
        if not _BOUND_PORT.match(port) or int(number) > 65535:
            raise BadRequest(f'invalid port specification: "{number}"')
        for binding in bindings:
            _check_binding(binding)
    for entry in host.get("ExtraHosts") or ():
        if ":" not in entry or not entry.partition(":")[0]:
            raise BadRequest(f'bad format for add-host: "{entry}"')
        address = entry.partition("=" if "=" in entry.partition(":")[0] else ":")[2]
        if address != "host-gateway" and not _is_address(address):
            raise BadRequest(f'invalid IP address in add-host: "{address}"')
    for server in host.get("Dns") or ():
        try:
            ipaddress.ip_address(server)
        except ValueError as error:
            raise BadRequest(
                f'bad nameserver address {server}: ParseAddr("{server}"): unable to parse IP'
            ) from error
    if mode.startswith("container:"):
        if not mode.partition(":")[2]:
            raise BadRequest("invalid network mode: invalid container format container:<name|id>")
        for asked, what, word in (
            (
                host["PortBindings"] or host["PublishAllPorts"],
                "port publishing",
                "container type ",
            ),
            (host.get("ExtraHosts"), "custom host-to-IP mapping", ""),
            (host.get("Dns"), "dns", ""),
            (config.get("MacAddress"), "mac-address", ""),
            (config.get("ExposedPorts"), "port exposing", "container type "),
        ):
            if asked:
                raise BadRequest(f"conflicting options: {what} and the {word}network mode")
        if host.get("Links"):
            raise BadRequest(
                "conflicting options: container type network can't be used with links. "
                "This would result in undefined behavior"
            )
    if mode == "host" and host.get("Links"):
        raise BadRequest(
            "conflicting options: host type networking can't be used with links. "
            "This would result in undefined behavior"
        )


def check_link(text: str) -> str:
    """The container that a legacy link names. Raises EngineError, with the status of dockerd."""
    if not text:
        raise EngineError("empty string specified for links")
    if text.count(":") > 1:
        raise EngineError(f"bad format for links: {text}")
    return text.partition(":")[0]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_binding(binding: Mapping[str, str]) -> None:
    port = binding["HostPort"]
    numbers = port.split("-")
    if port and (len(numbers) > 2 or any(not n.isdecimal() or int(n) > 65535 for n in numbers)):
        raise BadRequest(f'invalid port specification: "{port}"')
    if binding["HostIp"]:
        try:
            ipaddress.ip_address(binding["HostIp"])
        except ValueError as error:
            raise BadRequest(f"invalid IP address: {binding['HostIp']}") from error


def _check_namespaces(host: Mapping[str, Any]) -> None:
    for key, words, name in (
        ("PidMode", ("", "host"), "PID"),
        ("IpcMode", ("", "private", "shareable", "host", "none"), "IPC"),
        ("UTSMode", ("", "host"), "UTS"),
        ("UsernsMode", ("", "host"), "userns"),
        ("CgroupnsMode", ("", "private", "host"), "cgroup namespace"),
    ):
        mode = host[key]
        joins = key in ("PidMode", "IpcMode") and mode.startswith("container:")
        if mode not in words and not (joins and mode != "container:"):
            raise BadRequest(f"invalid {name} mode: {mode}")
    if host["UTSMode"] == "host" and host["NetworkMode"].startswith("container:"):
        return
    if host["Isolation"] not in ("", "default"):
        raise BadRequest(f"invalid isolation ({host['Isolation']}): linux only supports 'default'")


def _check_runtime(host: Mapping[str, Any]) -> None:
    if host["Runtime"] not in RUNTIMES:
        raise BadRequest(f"unknown or invalid runtime name: {host['Runtime']}")
    for key in host.get("StorageOpt") or {}:
        if key != "size":
            raise EngineError(f"Unknown option {key}")
        raise EngineError(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        )
    if "" in (host.get("Annotations") or {}):
        raise BadRequest(
            "invalid Annotations: the empty string is not permitted as an annotation key"
        )


def check_devices(host: Mapping[str, Any]) -> None:
    """Raises EngineError for GPUs and the like: nothing hands them out. At start, as dockerd."""
    if host.get("DeviceRequests"):
        request = host["DeviceRequests"][0] or {}
        wanted = " ".join(f"[{' '.join(group)}]" for group in request.get("Capabilities") or [])
        raise EngineError(
            f'could not select device driver "{request.get("Driver") or ""}" '
            f"with capabilities: [{wanted}]"
        )


def _check_capabilities(host: Mapping[str, Any]) -> None:
    for key in ("CapAdd", "CapDrop"):
        for name in host.get(key) or ():
            full = "CAP_" + name.upper().removeprefix("CAP_")
            if full not in ALL and name.upper() not in ("ALL", "CAP_ALL"):
                raise BadRequest(f'invalid {key}: unknown capability: "{full}"')


def _check_security(host: Mapping[str, Any]) -> list[str]:
    warnings = []
    for option in host.get("SecurityOpt") or ():
        key, separator, value = option.partition("=")
        if not separator:
            key, separator, value = option.partition(":")
        if option == "no-new-privileges" or key in ("label", "seccomp") or is_option(option):
            continue
        if key == "no-new-privileges" and value in _BOOLEANS:
            continue
        if key == "apparmor":
            if value not in ("unconfined", "docker-default", ""):
                warnings.append(f"AppArmor is not supported here. Profile {value} discarded.")
            continue
        if key == "writable-cgroups" and value in _BOOLEANS:
            continue
        kind = 2 if separator else 1
        raise EngineError(f'invalid --security-opt {kind}: "{option}"')
    return warnings


def _check_sysctls(host: Mapping[str, Any]) -> None:
    for name in host.get("Sysctls") or {}:
        if name in _SYSCTLS or name.startswith("fs.mqueue."):
            if host["IpcMode"] == "host" and not name.startswith("kernel.host"):
                raise BadRequest(f"sysctl '{name}' is not allowed as ipc is shared with the host")
        elif name.startswith("net."):
            if host["NetworkMode"] == "host":
                raise BadRequest(
                    f"sysctl '{name}' is not allowed as network is shared with the host"
                )
        else:
            raise BadRequest(f"sysctl '{name}' is not in a separate kernel namespace")
