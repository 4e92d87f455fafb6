"""The one place that starts programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_build.errors import BuildError

# Ordinary users' PATH lacks the folders of depmod and mkfs.erofs on Debian.
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def need(*programs: str) -> None:
    """Refuse early when a program is missing, and say which package brings it."""
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        listing = "scripts/packages/build-vm.txt"
        raise BuildError(
            f"needed to build the image but not installed: {', '.join(missing)}; "
            f"install the packages listed in {listing} (on Debian and Ubuntu scripts/build-vm does)"
        )


def run(
    argv: Sequence[str | Path],
    *,
    input: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Run a program to its end and return its output; BuildError carries its last words."""
    words = [str(word) for word in argv]
    surroundings = {**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **(environment or {})}
    try:
        done = subprocess.run(
            words, input=input, capture_output=True, env=surroundings, check=False
        )
    except OSError as error:
        raise BuildError(f"{words[0]} can't be started: {error}") from error
    if done.returncode != 0:
        last = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-15:]
        said = "\n  ".join(last)
        raise BuildError(f"{words[0]} failed with exit code {done.returncode}:\n  {said}")
    return done.stdout
