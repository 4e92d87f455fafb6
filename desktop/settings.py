"""The user's settings for one instance: `settings.json`, checked before anything uses it.

The file holds what the user changed; the rest follows the defaults, which depend on the host:
`{"cpus": 2, "memory": "4G", "disk": "64G", "shares": ["/home/me"], "isolation": "enhanced"}`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from desktop.failure import ExitCode, Failure

MEMORY_LEAST_MIB = 512
MEMORY_KEPT_FOR_HOST_MIB = 512
DISK_LEAST_GIB = 4
DISK_MOST_GIB = 16 * 1024
ISOLATIONS = ("standard", "enhanced")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_MIB = {"": 1 / 1048576, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1048576}


class SettingsError(Failure):
    """A setting is missing, of the wrong type or out of range."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint, ExitCode.SETTING)


@dataclass(frozen=True)
class Limits:
    """What this host can give: the ends of the window's sliders."""

    cpus: int
    memory_mib: int

    @classmethod
    def of_host(cls) -> Limits:
        return cls(_host_cpus(), _host_memory_mib())

    @property
    def memory_most_mib(self) -> int:
        """The most that the VM may be given; some is kept for the host itself."""
        return max(MEMORY_LEAST_MIB, self.memory_mib - MEMORY_KEPT_FOR_HOST_MIB)


@dataclass(frozen=True)
class Settings:
    """The settings in force; `unknown` keeps what a newer version wrote into the file."""

    cpus: int
    memory_mib: int
    disk_gib: int = 64
    shares: tuple[str, ...] = ()
    isolation: str = "standard"
    unknown: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def defaults(cls, limits: Limits | None = None) -> Settings:
        """All CPUs, a quarter of the memory between 1 and 2 GiB, the home folder shared.

        Not more, because the guest's kernel takes 25 MB of the host for each GiB it may use.
        """
        limits = limits or Limits.of_host()
        memory = min(2048, max(1024, limits.memory_mib // 4 // 256 * 256))
        return cls(
            cpus=limits.cpus,
            memory_mib=min(memory, limits.memory_most_mib),
            shares=(str(Path.home()),),
        )

    def to_record(self) -> dict[str, Any]:
        """The words of `cove config` and of the file, as JSON values."""
        return {
            "cpus": self.cpus,
            "memory": format_size(self.memory_mib),
            "disk": f"{self.disk_gib}G",
            "shares": list(self.shares),
            "isolation": self.isolation,
        }


def format_size(mib: int) -> str:
    """`4G` for whole GiB, `1536M` else."""
    return f"{mib // 1024}G" if mib % 1024 == 0 else f"{mib}M"


def parse_size_mib(value: object, name: str) -> int:
    """MiB in `4G`, `1.5 GiB`, `512M` or a plain number, which counts bytes as Docker's do."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise SettingsError(
            f"The setting {name} can't be {value!r}.",
            "It is a size.",
            f"Write a number and a unit, for example {name} 4G.",
        )
    mib = int(float(match[1]) * _MIB[match[2].upper()])
    if not match[2] and mib == 0:
        raise SettingsError(
            f"The setting {name} can't be {value!r}.",
            "A number without a unit counts bytes.",
            f"Write a unit, for example {name} {match[1]}G.",
        )
    return mib


def _cpus(value: object, settings: Settings, limits: Limits) -> Settings:
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(
            f"The setting cpus can't be {value!r}.",
            "It is a whole number.",
            f"Choose from 1 to {limits.cpus}.",
        )
    if not 1 <= value <= limits.cpus:
        raise SettingsError(
            f"The setting cpus can't be {value}.",
            f"This computer has {limits.cpus} CPUs.",
            f"Choose from 1 to {limits.cpus}.",
        )
    return replace(settings, cpus=value)


def _memory(value: object, settings: Settings, limits: Limits) -> Settings:
    mib = parse_size_mib(value, "memory")
    most = limits.memory_most_mib
    if not MEMORY_LEAST_MIB <= mib <= most:
        raise SettingsError(
            f"The setting memory can't be {value}.",
            f"The VM needs {MEMORY_LEAST_MIB}M, and this computer has "
            f"{format_size(limits.memory_mib)}.",
            f"Choose from {MEMORY_LEAST_MIB}M to {most}M.",
        )
    return replace(settings, memory_mib=mib)


def _disk(value: object, settings: Settings, limits: Limits) -> Settings:
    mib = parse_size_mib(value, "disk")
    if mib % 1024 or not DISK_LEAST_GIB <= mib // 1024 <= DISK_MOST_GIB:
        raise SettingsError(
            f"The setting disk can't be {value}.",
            "It is a whole number of gigabytes.",
            f"Choose from {DISK_LEAST_GIB}G to {DISK_MOST_GIB}G; only what is used takes room.",
        )
    return replace(settings, disk_gib=mib // 1024)


def _shares(value: object, settings: Settings, limits: Limits) -> Settings:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise SettingsError(
            f"The setting shares can't be {value!r}.",
            "It is a list of folders.",
            "Write absolute paths with commas between them.",
        )
    shares: list[str] = []
    for part in value:
        path = os.path.normpath(os.path.expanduser(part.strip()))
        if not os.path.isabs(path) or "\n" in path:
            raise SettingsError(
                f"The folder {part!r} can't be shared.",
                "Its path isn't absolute.",
                "Write the whole path, beginning with /.",
            )
        if path not in shares:
            shares.append(path)
    return replace(settings, shares=tuple(shares))


def _isolation(value: object, settings: Settings, limits: Limits) -> Settings:
    if not isinstance(value, str) or value.strip() not in ISOLATIONS:
        raise SettingsError(
            f"The setting isolation can't be {value!r}.",
            "With enhanced, each container has a user namespace: root in it is nobody outside.",
            f"Choose {' or '.join(ISOLATIONS)}.",
        )
    return replace(settings, isolation=value.strip())


_SETTERS: dict[str, Callable[[object, Settings, Limits], Settings]] = {
    "cpus": _cpus,
    "memory": _memory,
    "disk": _disk,
    "shares": _shares,
    "isolation": _isolation,
}
KEYS = tuple(_SETTERS)


def changed(settings: Settings, key: str, value: object, limits: Limits | None = None) -> Settings:
    """The settings with one changed; raises SettingsError. `value` is JSON or a typed word."""
    if key not in _SETTERS:
        raise SettingsError(
            f"There is no setting {key}.", "", f"The settings are {', '.join(KEYS)}."
        )
    return _SETTERS[key](value, settings, limits or Limits.of_host())


def load(path: Path, limits: Limits | None = None) -> Settings:
    """The settings of the file, the defaults where it has none; raises SettingsError."""
    limits = limits or Limits.of_host()
    settings = Settings.defaults(limits)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return settings
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} can't be read.",
            f"{error.strerror}.",
            "Make it readable for you, or move it away to start with the defaults.",
        ) from error
    except ValueError as error:
        raise _unreadable(path, f"It isn't JSON: {error}.") from error
    if not isinstance(record, dict):
        raise _unreadable(path, "It holds no JSON object.")
    for key in KEYS:
        if key in record:
            try:
                settings = changed(settings, key, record[key], limits)
            except SettingsError as error:
                raise _unreadable(path, f"{error.what} {error.why} {error.hint}") from error
    unknown = {key: value for key, value in record.items() if key not in KEYS}
    return replace(settings, unknown=unknown)


def _unreadable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The settings file {path} can't be used.",
        why,
        "Correct it, or move it away to start with the defaults.",
    )


def save(path: Path, settings: Settings, limits: Limits | None = None) -> None:
    """Write what differs from the defaults, whole or not at all; raises SettingsError."""
    usual = Settings.defaults(limits).to_record()
    record = dict(settings.unknown)
    record |= {key: value for key, value in settings.to_record().items() if value != usual[key]}
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with scratch.open("w", encoding="utf-8") as file:
            file.write(json.dumps(record, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise SettingsError(
            f"The settings file {path} can't be written.",
            f"{error.strerror}.",
            "Make room on the disk, or make the folder writable for you.",
        ) from error


def _host_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _host_memory_mib() -> int:
    if sys.platform == "darwin":
        from desktop import macos

        return macos.memory_mib()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1048576
