"""The recipe: image.toml, and the digest of everything that an image is made of."""

from __future__ import annotations

import hashlib
import platform
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_build.errors import BuildError

VM_IMAGE = Path(__file__).resolve().parent.parent
CHECKOUT = VM_IMAGE.parent


@dataclass(frozen=True)
class Architecture:
    """One target, by the names that QEMU, Debian, the linker and pip give it."""

    name: str
    debian: str
    triplet: str
    loader: str
    wheels: str


ARCHITECTURES = {
    "x86_64": Architecture(
        "x86_64", "amd64", "x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2", "x86_64"
    ),
    "aarch64": Architecture(
        "aarch64", "arm64", "aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1", "aarch64"
    ),
}


def find_architecture(name: str) -> Architecture:
    """The architecture by any of its usual names; BuildError names the ones there are."""
    aliases = {"amd64": "x86_64", "arm64": "aarch64"}
    try:
        return ARCHITECTURES[aliases.get(name.lower(), name.lower())]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise BuildError(
            f"there is no image for the architecture {name!r} (known: {known})"
        ) from None


def host_architecture() -> str:
    """The name of this machine's own architecture."""
    return find_architecture(platform.machine()).name


@dataclass(frozen=True)
class Recipe:
    """image.toml as read; tables are reached by `recipe["files"]["keep"]`."""

    tables: Mapping[str, Any]
    architecture: Architecture

    def __getitem__(self, table: str) -> Any:
        return self.tables[table]

    def expand(self, words: Iterable[str]) -> list[str]:
        """Fill in {arch} (Debian's name) and {triplet}."""
        arch = self.architecture
        return [word.format(arch=arch.debian, triplet=arch.triplet) for word in words]

    @property
    def cmdline(self) -> str:
        """The fixed words of the kernel's command line."""
        return " ".join(self["kernel"]["cmdline"])


def load(architecture: Architecture, path: Path = VM_IMAGE / "image.toml") -> Recipe:
    """Read the recipe; BuildError when the file isn't one that this code understands."""
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"the recipe {path} can't be read: {error}") from error
    if tables.get("format") != 1:
        raise BuildError(f"the recipe {path} has format {tables.get('format')!r}, not 1")
    return Recipe(tables, architecture)


def sources() -> list[Path]:
    """Every file of the checkout that ends up in an image or decides what does."""
    folders = (
        VM_IMAGE / "image_build",
        VM_IMAGE / "rootfs",
        VM_IMAGE / "initramfs",
        CHECKOUT / "engine",
    )
    found = [VM_IMAGE / "image.toml", CHECKOUT / "requirements" / "guest.txt"]
    for folder in folders:
        for path in folder.rglob("*"):
            unwanted = "__pycache__" in path.parts or path.suffix == ".pyc"
            if not unwanted and (path.is_symlink() or path.is_file()):
                found.append(path)
    return sorted(found)


def digest(paths: Iterable[Path], *extra: str) -> str:
    """One sha256 over names, modes and contents, so that an unchanged image isn't built again."""
    total = hashlib.sha256()
    for word in extra:
        total.update(f"{word}\0".encode())
    for path in paths:
        mode = path.lstat().st_mode
        content = path.readlink().as_posix().encode() if path.is_symlink() else path.read_bytes()
        total.update(f"{path.relative_to(CHECKOUT)}\0{mode:o}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
