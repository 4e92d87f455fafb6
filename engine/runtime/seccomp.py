"""Seccomp: the default profile and users' own, turned into OCI's `linux.seccomp`.

The profile on disk is in Docker's format (rules with conditions on capabilities and
architectures); OCI's has only rules. The distribution's profile is laxer than Docker's in places:
`_tighten` takes those back.
"""

import functools
import itertools
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import BadRequest
from engine.linux.libc import machine

PROFILE = Path("/usr/share/containers/seccomp.json")
UNCONFINED = "unconfined"
_ARCHITECTURES = {
    "amd64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "arm64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
_NATIVE = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}
# Docker allows each of these with one of the capabilities, and to nobody when there is none
_GATES: dict[tuple[str, ...], str] = {
    ("CAP_SYS_ADMIN",): "fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount"
    " mount_setattr move_mount open_tree quotactl quotactl_fd setdomainname sethostname setns"
    " umount umount2 unshare",
    ("CAP_SYS_ADMIN", "CAP_SYSLOG"): "syslog",
    ("CAP_SYS_ADMIN", "CAP_BPF"): "bpf",
    ("CAP_SYS_ADMIN", "CAP_PERFMON"): "perf_event_open",
    ("CAP_SYS_BOOT",): "reboot",
    ("CAP_SYS_NICE",): "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ("CAP_SYS_PTRACE",): "kcmp pidfd_getfd process_madvise",
    (): "add_key io_uring_enter io_uring_register io_uring_setup keyctl pivot_root request_key",
}
_ALWAYS = ["futex_waitv", "io_pgetevents", "io_pgetevents_time64", "vmsplice"]
_AF_VSOCK = 40  # its addresses are the hypervisor's, outside every network namespace
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* that clone(2) knows, as Docker masks it
_NO_NAMESPACES = {"index": 0, "value": _CLONE_NEW, "op": "SCMP_CMP_MASKED_EQ"}
_EPERM = 1
_ENOSYS = 38
_ALLOW = "SCMP_ACT_ALLOW"
_REFUSE = "SCMP_ACT_ERRNO"


@functools.lru_cache(maxsize=32)
def default(capabilities: tuple[str, ...]) -> dict[str, Any]:
    """The default profile for a container with `capabilities`, on this machine."""
    with PROFILE.open(encoding="utf-8") as file:
        profile = json.load(file)
    return _convert(_tighten(profile, capabilities), capabilities)


@functools.lru_cache(maxsize=32)
def custom(text: str, capabilities: tuple[str, ...]) -> dict[str, Any]:
    """A user's own profile. Raises BadRequest when it isn't one."""
    try:
        profile = json.loads(text)
        if not isinstance(profile, dict):
            raise TypeError("not an object")
        return _convert(profile, capabilities)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest(f"Decoding seccomp profile failed: {error}") from error


def _tighten(profile: dict[str, Any], capabilities: tuple[str, ...]) -> dict[str, Any]:
    """`profile` with Docker's refusals where it allows more, and its allowances by capability."""
    gated = {name for names in _GATES.values() for name in names.split()}
    gated |= {"clone", "clone3", *_ALWAYS}
    allowed: list[str] = list(_ALWAYS)
    refused: list[str] = []
    for gate, names in _GATES.items():
        opened = any(name in capabilities for name in gate)
        (allowed if opened else refused).extend(names.split())
    admin = "CAP_SYS_ADMIN" in capabilities
    if admin:
        allowed += ["clone", "clone3"]
    rules = [
        {**rule, "names": [name for name in rule["names"] if name not in gated]}
        for rule in profile["syscalls"]
    ]
    rules = [_without_vsock(rule) for rule in rules if rule["names"]]
    rules.append(_refused("socket", _AF_VSOCK, "SCMP_CMP_EQ"))
    rules.append({"names": allowed, "action": _ALLOW})
    rules.append({"names": refused, "action": _REFUSE, "errnoRet": _EPERM})
    if not admin:
        rules.append({"names": ["clone"], "action": _ALLOW, "args": [_NO_NAMESPACES]})
        rules += [_refused("clone", bit, "SCMP_CMP_MASKED_EQ") for bit in _bits(_CLONE_NEW)]
        # its flags are behind a pointer that no filter can read; libc falls back to clone
        rules.append({"names": ["clone3"], "action": _REFUSE, "errnoRet": _ENOSYS})
    return {**profile, "syscalls": [rule for rule in rules if rule["names"]]}


def _bits(mask: int) -> Iterator[int]:
    return (1 << place for place in range(mask.bit_length()) if mask >> place & 1)


def _refused(name: str, value: int, operator: str) -> dict[str, Any]:
    """EPERM, as with Docker, by the first argument: what no rule names gets ENOSYS."""
    argument = {"index": 0, "value": value, "valueTwo": value, "op": operator}
    return {"names": [name], "action": _REFUSE, "errnoRet": _EPERM, "args": [argument]}


def _without_vsock(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule that allows every socket, narrowed to all but AF_VSOCK."""
    if rule["names"] != ["socket"] or rule["action"] != _ALLOW or rule.get("args"):
        return rule
    return {**rule, "args": [{"index": 0, "value": _AF_VSOCK, "op": "SCMP_CMP_NE"}]}


def _applies(rule: dict[str, Any], capabilities: tuple[str, ...], architecture: str) -> bool:
    """Whether the conditions of `rule` hold here (Docker's includes and excludes)."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    arches = includes.get("arches") or ()
    if arches and architecture not in arches:
        return False
    if architecture in (excludes.get("arches") or ()):
        return False
    if any(name not in capabilities for name in includes.get("caps") or ()):
        return False
    if any(name in capabilities for name in excludes.get("caps") or ()):
        return False
    if (least := includes.get("minKernel")) and _kernel() < _version(least):
        return False
    return not ((most := excludes.get("minKernel")) and _kernel() >= _version(most))


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    digits = "".join(itertools.takewhile(str.isdigit, rest))
    return int(major), int(digits or 0)


def _kernel() -> tuple[int, int]:
    return _version(os.uname().release)


def _convert(profile: dict[str, Any], capabilities: tuple[str, ...]) -> dict[str, Any]:
    """Docker's format to OCI's, for this machine's architecture."""
    architecture = machine()
    if profile.get("architectures"):
        arches = list(profile["architectures"])
    elif profile.get("archMap"):
        arches = _mapped(profile["archMap"], architecture)
    else:
        arches = _ARCHITECTURES.get(architecture, [])
    found: dict[str, Any] = {
        "defaultAction": profile["defaultAction"],
        "architectures": arches,
        "syscalls": [
            _rule(rule)
            for rule in profile.get("syscalls") or ()
            if _applies(rule, capabilities, architecture)
        ],
    }
    if profile.get("defaultErrnoRet") is not None:
        found["defaultErrnoRet"] = profile["defaultErrnoRet"]
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if profile.get(key):
            found[key] = profile[key]
    return found


def _mapped(table: list[dict[str, Any]], architecture: str) -> list[str]:
    native = _NATIVE.get(architecture, platform.machine())
    for entry in table:
        if entry["architecture"] == native:
            return [native, *(entry.get("subArchitectures") or ())]
    return []


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    names = list(rule.get("names") or [rule["name"]])
    found: dict[str, Any] = {"names": names, "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        found["errnoRet"] = rule["errnoRet"]
    arguments = [
        {
            "index": one["index"],
            "value": one["value"],
            "valueTwo": one.get("valueTwo", 0),
            "op": one["op"],
        }
        for one in rule.get("args") or ()
    ]
    if arguments:
        found["args"] = arguments
    return found
