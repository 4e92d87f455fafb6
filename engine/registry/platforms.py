"""Platforms of images: what a user asks for, what this machine is, which manifest fits."""

import platform as machine_platform
from collections.abc import Iterable, Mapping
from typing import Any, Self

from engine.errors import BadRequest
from engine.values import dataclass

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd"})
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


@dataclass(frozen=True)
class Platform:
    """os/architecture[/variant], in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `linux/arm64/v8`, `arm64` or `linux`. Raises BadRequest."""
        words = text.lower().split("/")
        if not 1 <= len(words) <= 3 or not all(word.replace("_", "").isalnum() for word in words):
            raise BadRequest(f'"{text}" is an invalid OS or architecture: invalid argument')
        if len(words) == 1:
            if words[0] in _SYSTEMS:
                return cls(words[0], local().architecture)
            return cls("linux", *_normal(words[0], ""))
        return cls(words[0], *_normal(words[1], words[2] if len(words) > 2 else ""))

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The platform that a descriptor or a config states."""
        architecture, variant = _normal(
            str(record.get("architecture", "")), str(record.get("variant") or "")
        )
        return cls(str(record.get("os") or "linux"), architecture, variant)

    def __str__(self) -> str:
        return "/".join(word for word in (self.os, self.architecture, self.variant) if word)

    def matches(self, other: Self) -> bool:
        """Whether an image for `other` is what was asked for; no variant asks for any."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        default = _DEFAULT_VARIANTS.get(self.architecture, "")
        return not self.variant or (other.variant or default) == self.variant


def _normal(architecture: str, variant: str) -> tuple[str, str]:
    if architecture in ("armhf", "armv7l") and not variant:
        variant = "v7"
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if _DEFAULT_VARIANTS.get(architecture) == variant and architecture != "arm":
        variant = ""
    return architecture, variant


def local() -> Platform:
    """What this machine runs natively."""
    return Platform("linux", *_normal(machine_platform.machine(), ""))


def choose(descriptors: Iterable[Mapping[str, Any]], wanted: Platform) -> Mapping[str, Any] | None:
    """The manifest of an index for a platform; the best variant first, None when there is none."""
    fitting = []
    for descriptor in descriptors:
        stated = descriptor.get("platform")
        if isinstance(stated, Mapping) and wanted.matches(Platform.of(stated)):
            # newest variant that the architecture's default covers: v8 before v7 before v6
            fitting.append((Platform.of(stated).variant, descriptor))
    if not fitting:
        return None
    default = wanted.variant or _DEFAULT_VARIANTS.get(wanted.architecture, "")
    fitting.sort(key=lambda item: (item[0] in ("", default), item[0]), reverse=True)
    return fitting[0][1]
