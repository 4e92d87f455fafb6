"""Build arguments that need no ARG: those about platforms, proxies, and the builder's own.

Reference: "Predefined ARGs" and "Automatic platform ARGs" in the Dockerfile reference.
"""

from collections.abc import Mapping

from engine.registry.platforms import Platform

_PROXIES = frozenset({"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"})
_PLATFORM = ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
_OWN = frozenset({"SOURCE_DATE_EPOCH", "TARGETSTAGE"})
_OWN_PREFIX = "BUILDKIT_"
AUTOMATIC = frozenset(
    {f"{side}{name}" for side in ("BUILD", "TARGET") for name in _PLATFORM} | {"TARGETSTAGE"}
)


def is_proxy(name: str) -> bool:
    """Whether a RUN gets it without an ARG, and the cache doesn't look at it."""
    return name.lower() in _PROXIES


def is_known(name: str) -> bool:
    """Whether it may be given though nothing declares it."""
    return is_proxy(name) or name in AUTOMATIC | _OWN or name.startswith(_OWN_PREFIX)


def proxies(args: Mapping[str, str]) -> dict[str, str]:
    """Those of the given arguments that are about proxies."""
    return {name: value for name, value in args.items() if is_proxy(name)}


def automatic(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """BUILDPLATFORM, TARGETARCH and so on, for the platform built on and the one built for."""
    values: dict[str, str] = {}
    for side, platform in (("BUILD", build), ("TARGET", target)):
        parts = (str(platform), platform.os, "", platform.architecture, platform.variant)
        values |= {f"{side}{name}": part for name, part in zip(_PLATFORM, parts, strict=True)}
    return {**values, "TARGETSTAGE": stage or "default"}
