"""The VM's image on this computer: found, checked against its manifest."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop.failure import ExitCode, Failure

FORMAT = 1
KERNEL, INITRD, ROOT, MANIFEST = "vmlinuz", "initrd", "rootfs.erofs", "manifest.json"


@dataclass(frozen=True)
class Image:
    """A checked image: files, the kernel's fixed words, and what it was built from."""

    folder: Path
    architecture: str
    cmdline: str
    kernel_version: str = ""

    @property
    def kernel(self) -> Path:
        return self.folder / KERNEL

    @property
    def initrd(self) -> Path:
        return self.folder / INITRD

    @property
    def root(self) -> Path:
        return self.folder / ROOT


class ImageError(Failure):
    """The image is missing, damaged or made for another architecture."""

    def __init__(self, what: str, why: str, architecture: str) -> None:
        super().__init__(
            what,
            why,
            f"Run `scripts/build-vm --arch {architecture}` to build it anew.",
            ExitCode.MISSING,
        )


def find(folder: Path, architecture: str, checked: Path | None = None) -> Image:
    """The image in a folder, checked by size and SHA-256; raises ImageError.

    Reading 100 MB at each start would cost a good part of a second: `checked` is a file that
    remembers inode, size and time of what was read whole before.
    """
    manifest = _manifest(folder, architecture)
    if manifest.get("arch") != architecture:
        raise ImageError(
            f"The VM image in {folder} doesn't fit this computer.",
            f"It was made for {manifest.get('arch')}, this computer is {architecture}.",
            architecture,
        )
    known = _load(checked)
    for name in (KERNEL, INITRD, ROOT):
        _check(folder / name, manifest["files"].get(name), known, architecture)
    _save(checked, known)
    kernel = manifest.get("kernel")
    version = str(kernel.get("version", "")) if isinstance(kernel, dict) else ""
    return Image(folder, architecture, str(manifest.get("cmdline", "")), version)


def _manifest(folder: Path, architecture: str) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ImageError(
            f"The VM image is missing: there is no {path}.",
            "It hasn't been built on this computer.",
            architecture,
        ) from error
    except (OSError, ValueError) as error:
        raise ImageError(
            f"The VM image's {path} can't be read.", f"{error}.", architecture
        ) from error
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or not isinstance(manifest.get("files"), dict)
    ):
        raise ImageError(
            f"The VM image's {path} can't be used.",
            "It isn't a manifest that this version knows.",
            architecture,
        )
    return manifest


def _check(path: Path, entry: Any, known: dict[str, Any], architecture: str) -> None:
    if not isinstance(entry, dict):
        raise ImageError(
            f"The VM image has no {path.name}.", "Its manifest doesn't list it.", architecture
        )
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(
            f"The VM image's file {path} is missing.", f"{error.strerror}.", architecture
        ) from error
    if status.st_size != entry.get("size"):
        raise ImageError(
            f"The VM image's file {path} is damaged.",
            f"It has {status.st_size} bytes; its manifest says {entry.get('size')}.",
            architecture,
        )
    mark = [str(path), status.st_ino, status.st_size, status.st_mtime_ns, entry.get("sha256")]
    if known.get(path.name) == mark:
        return
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(
            f"The VM image's file {path} can't be read.", f"{error.strerror}.", architecture
        ) from error
    if digest != str(entry.get("sha256", "")).removeprefix("sha256:"):
        raise ImageError(
            f"The VM image's file {path} is damaged.",
            f"Its SHA-256 is {digest}; its manifest says {entry.get('sha256')}.",
            architecture,
        )
    known[path.name] = mark


def _load(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _save(path: Path | None, known: dict[str, Any]) -> None:
    if path is None or _load(path) == known:
        return
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        scratch.write_text(json.dumps(known), encoding="utf-8")
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)  # it is a cache: the next start reads the files again
