"""Debian packages: downloaded and unpacked, never configured (no code of the target runs)."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from image_build.run import run

ARCHIVES = "./var/cache/apt/archives/"
# Debian's security fixes reach an image at the latest after this many seconds.
CACHE_AGE = 7 * 86400


@dataclass(frozen=True)
class Packages:
    """An unpacked set of packages: their files below `tree`, their versions by name."""

    tree: Path
    versions: dict[str, str]


def parse_archive_name(name: str) -> tuple[str, str] | None:
    """`busybox-static_1%3a1.37.0-6_arm64.deb` -> ("busybox-static", "1:1.37.0-6")."""
    match = re.fullmatch(r"([a-z0-9][a-z0-9+.-]*)_([^_]+)_[a-z0-9-]+\.deb", name)
    return (match[1], unquote(match[2])) if match else None


def is_wanted(member: tarfile.TarInfo) -> bool:
    """Everything but device nodes, which only root can make and the image doesn't need."""
    return not (member.isdev() or member.name.startswith("./dev/"))


def unpack(
    cache: Path,
    *,
    suite: str,
    debian_architecture: str,
    include: Sequence[str],
    exclude: Sequence[str] = (),
    include_again: Sequence[str] = (),
    fresh: bool = False,
) -> Packages:
    """Fetch packages with all they depend on; the same set is taken from `cache` for a week.

    mmdebstrap knows the machine's own sources, proxy and keys; it needs no root and no emulation.
    """
    words = [suite, debian_architecture, *include, "-", *exclude, "-", *include_again]
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    tree = cache / f"packages-{debian_architecture}-{name}"
    listing = tree / ".versions"
    if not fresh and listing.exists() and time.time() - listing.stat().st_mtime < CACHE_AGE:
        return Packages(tree, read_versions(listing))
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"{tree.name}.part.tar"
    unpacked = cache / f"{tree.name}.part"
    shutil.rmtree(unpacked, ignore_errors=True)
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            "--skip=cleanup/apt/cache",
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in exclude),
            *(f"--dpkgopt=path-include={pattern}" for pattern in include_again),
            f"--architectures={debian_architecture}",
            f"--include={','.join(include)}",
            suite,
            archive,
        ]
    )
    versions = extract(archive, unpacked)
    archive.unlink()
    (unpacked / ".versions").write_text("".join(f"{n} {v}\n" for n, v in sorted(versions.items())))
    shutil.rmtree(tree, ignore_errors=True)
    unpacked.rename(tree)
    remove_stale(cache)
    return Packages(tree, versions)


def remove_stale(cache: Path) -> None:
    """Drop package sets that are too old to be used again."""
    for listing in cache.glob("packages-*/.versions"):
        if time.time() - listing.stat().st_mtime > CACHE_AGE:
            shutil.rmtree(listing.parent, ignore_errors=True)


def extract(archive: Path, target: Path) -> dict[str, str]:
    """Unpack mmdebstrap's tar; the packages that it was made of are only named."""
    versions = {}
    target.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith(ARCHIVES):
                if found := parse_archive_name(member.name.removeprefix(ARCHIVES)):
                    versions[found[0]] = found[1]
            elif is_wanted(member):
                member.mode |= 0o700 if member.isdir() else 0o400
                tar.extract(member, target, set_attrs=not member.issym(), filter="fully_trusted")
    return versions


def read_versions(listing: Path) -> dict[str, str]:
    """The versions as `unpack` wrote them: a package and its version on each line."""
    pairs = (line.split(" ", 1) for line in listing.read_text().splitlines())
    return {name: version for name, version in pairs}
