"""Fits an OCI process to what the engine itself may hand on: rlimits and capabilities."""

import resource
from collections.abc import Mapping
from typing import Any

from engine.runtime import capabilities

FILES = 524288
# what a service has by default where systemd starts it, dockerd and its containers among them
_FILES = {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": FILES}


def clamp(limits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lower limits to the engine's hard ones when it lacks CAP_SYS_RESOURCE."""
    if "CAP_SYS_RESOURCE" in capabilities.bounding():
        return limits
    fitted = []
    for limit in limits:
        number = getattr(resource, limit["type"], None)
        if number is None:
            continue
        ceiling = resource.getrlimit(number)[1]
        if ceiling == resource.RLIM_INFINITY:
            fitted.append(limit)
            continue
        hard = min(limit["hard"], ceiling)
        fitted.append({"type": limit["type"], "soft": min(limit["soft"], hard), "hard": hard})
    return fitted


def fit(process: Mapping[str, Any]) -> dict[str, Any]:
    """`process` with nothing in it that the kernel would refuse this engine."""
    fitted = dict(process)
    allowed = capabilities.bounding()
    fitted["capabilities"] = {
        kind: [name for name in names if name in allowed]
        for kind, names in process.get("capabilities", {}).items()
    }
    limits = list(process.get("rlimits") or ())
    if not any(limit["type"] == "RLIMIT_NOFILE" for limit in limits):
        limits.append(_FILES)
    fitted["rlimits"] = clamp(limits)
    return fitted
