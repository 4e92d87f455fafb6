"""A volume as a value, and the rules for its name and driver options."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadRequest, NotFound
from engine.values import dataclass, field

DRIVER = "local"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"
NAME_LIMIT = 255  # bytes of a file name

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_SIZE = re.compile(r"\d+(\.\d+)? ?([kmgtp]?i?b?)", re.IGNORECASE)
_OPTIONS = frozenset({"type", "o", "device", "size"})
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}


@dataclass(frozen=True)
class Volume:
    """A named folder; labels and options are as the client gave them, None when it gave none."""

    name: str
    mountpoint: Path
    created_ns: int
    labels: Mapping[str, str] | None = None
    options: Mapping[str, str] | None = None
    driver: str = field(default=DRIVER, init=False)

    @property
    def anonymous(self) -> bool:
        """Whether the engine chose its name."""
        return self.labels is not None and ANONYMOUS_LABEL in self.labels

    def to_record(self) -> dict[str, Any]:
        """What the database keeps."""
        return {
            "created_ns": self.created_ns,
            "labels": None if self.labels is None else dict(self.labels),
            "options": None if self.options is None else dict(self.options),
        }

    @classmethod
    def from_record(cls, name: str, mountpoint: Path, record: Mapping[str, Any]) -> "Volume":
        """The reverse of to_record."""
        return cls(name, mountpoint, record["created_ns"], record["labels"], record["options"])


def check_name(name: str) -> None:
    """Raise BadRequest for a name that a volume can't have, in dockerd's words."""
    if len(name) == 1:
        raise BadRequest(
            f"create {name}: volume name is too short, "
            "names should be at least two alphanumeric characters"
        )
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f'create {name}: "{name}" includes invalid characters for a local volume name, '
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
            "If you intended to pass a host directory, use absolute path"
        )
    if len(name) > NAME_LIMIT:
        raise BadRequest(f"create {name}: volume name is too long, at most {NAME_LIMIT} characters")


def check_driver(name: str, driver: str) -> None:
    """Raise NotFound for any driver but the local one."""
    if driver != DRIVER:
        raise NotFound(
            f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )


def check_options(name: str, options: Mapping[str, str]) -> None:
    """Raise BadRequest for options that the local driver doesn't know or that lack another."""
    for key in options:
        if key not in _OPTIONS:
            raise BadRequest(f'create {name}: invalid option: "{key}"')
    for key, needed in _NEEDS.items():
        for other in needed:
            if key in options and other not in options:
                raise BadRequest(f'create {name}: missing required option: "{other}"')
    if size := options.get("size"):
        if not _SIZE.fullmatch(size):
            raise BadRequest(f"create {name}: invalid size: '{size}'")
        raise BadRequest(f"create {name}: quota size requested but no quota support")
