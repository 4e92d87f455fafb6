"""Platforms of images: what a user asks for, what this machine is, which manifest fits."""

import platform as machine_platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from engine.errors import BadRequest
from engine.values import dataclass

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armv7l": "arm",
    "armel": "arm",
    "i386": "386",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
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

    def is_exactly(self, other: "Platform") -> bool:
        """Whether it is the same, the architecture's default variant standing for none."""
        default = _DEFAULT_VARIANTS.get(self.architecture, "")
        return (self.os, self.architecture, self.variant or default) == (
            other.os,
            other.architecture,
            other.variant or default,
        )

    def matches(self, other: "Platform") -> bool:
        """Whether an image for `other` is what was asked for; no variant asks for any."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        return not self.variant or any(each.is_exactly(other) for each in compatible(self))


def _normal(architecture: str, variant: str) -> tuple[str, str]:
    if architecture in ("armhf", "armv7l") and not variant:
        variant = "v7"
    if architecture == "armel" and not variant:
        variant = "v6"
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if _DEFAULT_VARIANTS.get(architecture) == variant and architecture != "arm":
        variant = ""
    return architecture, variant


def local() -> Platform:
    """What this machine runs natively."""
    return Platform("linux", *_normal(machine_platform.machine(), ""))


def compatible(wanted: Platform) -> list[Platform]:
    """What a platform runs, best first: its older variants, its 32-bit kin (containerd's order)."""
    system, architecture = wanted.os, wanted.architecture
    variant = wanted.variant or _DEFAULT_VARIANTS.get(architecture, "")
    found = [wanted]
    level = int(variant[1:]) if variant[1:].isdigit() else 0
    lowest = {"amd64": 1, "arm": 5, "arm64": 8}.get(architecture, level)
    found += [Platform(system, architecture, f"v{n}") for n in range(level - 1, lowest - 1, -1)]
    if architecture == "amd64":
        found.append(Platform(system, "386"))
    if architecture == "arm64":
        found += [Platform(system, "arm", f"v{n}") for n in (8, 7, 6, 5)]
    return found


def emulated(registrations: Path = _BINFMT) -> list[Platform]:
    """Platforms whose programs the kernel hands to an emulator (binfmt_misc)."""
    try:
        names = sorted(entry.name for entry in registrations.iterdir())
    except OSError:
        return []
    words = (name.removeprefix("qemu-") for name in names if name.startswith("qemu-"))
    return [Platform("linux", *_normal(word, "")) for word in words]


def choose(
    descriptors: Iterable[Mapping[str, Any]], wanted: Platform, others: Sequence[Platform] = ()
) -> Mapping[str, Any] | None:
    """The manifest of an index for a platform, else for one that it runs, else for `others`."""
    stated = []
    for descriptor in descriptors:
        platform = descriptor.get("platform")
        if isinstance(platform, Mapping):
            stated.append((Platform.of(platform), descriptor))
    for each in (*compatible(wanted), *others):
        for found, descriptor in stated:
            if each.is_exactly(found):
                return descriptor
    return None
