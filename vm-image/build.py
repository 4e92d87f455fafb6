#!/usr/bin/env python3
"""Build the VM image: vm-image/out/ARCH/{vmlinuz,initrd,rootfs.erofs,manifest.json}.

Takes Debian's packages for the target, picks what image.toml names, adds rootfs/ and the engine.
Nothing is built again while the recipe, our files and the engine are as they were.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from image_build import image, recipe  # noqa: E402
from image_build.errors import BuildError  # noqa: E402


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/build-vm", description=__doc__)
    parser.add_argument("--arch", default=recipe.host_architecture(), help="x86_64 or aarch64")
    parser.add_argument(
        "--force", action="store_true", help="build even if nothing changed, from fresh packages"
    )
    parser.add_argument(
        "--out", type=Path, default=recipe.VM_IMAGE / "out", help="folder for the results"
    )
    parser.add_argument(
        "--cache", type=Path, default=recipe.VM_IMAGE / "cache", help="folder for downloads"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Build, say what was built and how large it is; the exit code is 1 on failure."""
    options = parse(arguments)
    os.umask(0o022)
    began = time.monotonic()
    try:
        target = recipe.find_architecture(options.arch)
        made = image.build(target, options.out, options.cache, force=options.force)
    except BuildError as error:
        print(f"build-vm: {error}", file=sys.stderr)
        return 1
    print(image.describe(made, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
