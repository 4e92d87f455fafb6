"""One image from start to end: packages in, four files out, put in place in one step."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from image_build import initramfs, kernel, python_files, recipe, rootfs
from image_build.debian import Packages, unpack
from image_build.errors import BuildError
from image_build.recipe import Architecture, Recipe
from image_build.run import need, run

FILES = ("vmlinuz", "initrd", "rootfs.erofs")
STAGES = ("initrd", "early", "late", "shares", "idle")


@dataclass(frozen=True)
class Built:
    """Where an image is, what its manifest says, and whether it was there already."""

    folder: Path
    manifest: Mapping[str, Any]
    was_there: bool


def build(target: Architecture, out: Path, cache: Path, *, force: bool = False) -> Built:
    """Make the image for an architecture, unless it is there, built from the same inputs."""
    plan = recipe.load(target)
    inputs = recipe.digest(recipe.sources(), target.name)
    out.mkdir(parents=True, exist_ok=True)
    folder = out / target.name
    with locked(out / f".{target.name}.lock"):
        if not force and (present := find_built(folder, inputs)) is not None:
            return present
        need("mmdebstrap", "mkfs.erofs", "depmod", "zstd")
        packages, tools = fetch(plan, cache, fresh=force)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{target.name}-") as temporary:
            made = Path(temporary) / "image"
            made.mkdir()
            manifest = make(plan, packages, tools, cache, Path(temporary) / "root", made, inputs)
            replace(made, folder)
    return Built(folder, manifest, was_there=False)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two builds of the same image take turns; the second finds the work done."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_built(folder: Path, inputs: str) -> Built | None:
    """The image in `folder` if it is whole and was made from the same inputs."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        whole = all(
            (folder / name).stat().st_size == manifest["files"][name]["size"] for name in FILES
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = manifest.get("inputs") == inputs
    return Built(folder, manifest, was_there=True) if whole and same else None


def fetch(plan: Recipe, cache: Path, *, fresh: bool) -> tuple[Packages, Packages]:
    """The target's packages, and those whose programs run here during the build."""
    table = plan["packages"]
    packages = unpack(
        cache,
        suite=plan["suite"],
        debian_architecture=plan.architecture.debian,
        include=plan.expand(table["include"]),
        exclude=table["exclude"],
        include_again=table["include_again"],
        fresh=fresh,
    )
    here = recipe.find_architecture(platform.machine())
    if here == plan.architecture:
        return packages, packages
    tools = unpack(
        cache,
        suite=plan["suite"],
        debian_architecture=here.debian,
        include=["python3-minimal", "libpython3-stdlib", "busybox-static"],
        exclude=table["exclude"],
        fresh=fresh,
    )
    return packages, tools


def make(
    plan: Recipe,
    packages: Packages,
    tools: Packages,
    cache: Path,
    root: Path,
    made: Path,
    inputs: str,
) -> dict[str, Any]:
    """Write the four files into `made`; `root` is scratch space."""
    release = find_release(packages.tree)
    dependencies = read_dependencies(packages.tree, release)
    table = plan["modules"]
    wanted = [name for stage in (*STAGES, "available") for name in table[stage]]
    modules = kernel.choose(dependencies, wanted, table["drop"])
    wheels = python_files.fetch_wheels(cache, plan.architecture, plan["python"]["version"])
    rootfs.assemble(root, plan, packages, tools, wheels, release, modules)
    early: list[str] = []
    for stage in STAGES:
        order = kernel.load_order(dependencies, table[stage])
        rootfs.write_load_list(root, stage, release, [path for path in order if path not in early])
        early += order
    write_initrd(made / "initrd", plan, packages.tree, release, dependencies)
    write_kernel(made / "vmlinuz", packages.tree, release)
    rootfs.make_erofs(root, made / "rootfs.erofs", plan["files"]["plain"])
    manifest = {
        "format": 1,
        "arch": plan.architecture.name,
        "built": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "inputs": inputs,
        "kernel": {"version": release, "modules": sorted(modules)},
        "cmdline": plan.cmdline,
        "files": {name: measure(made / name) for name in FILES},
        "wheels": [wheel.name for wheel in wheels],
        "packages": packages.versions,
    }
    (made / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def find_release(tree: Path) -> str:
    """The version of the kernel that the packages brought."""
    releases = [path.name for path in (tree / "usr/lib/modules").iterdir()]
    if len(releases) != 1:
        raise BuildError(f"one kernel expected among the packages, found: {releases}")
    return releases[0]


def read_dependencies(tree: Path, release: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Which module needs which, over all of the kernel's; depmod's answer stays in the cache."""
    listing = tree / "usr/lib/modules" / release / "modules.dep"
    if not listing.exists():
        with tempfile.TemporaryDirectory(dir=tree.parent) as temporary:
            base = Path(temporary)
            (base / "lib").symlink_to((tree / "usr/lib").resolve())
            run(["depmod", "-b", base, release])
    return kernel.parse_dependencies(listing.read_text())


def write_initrd(
    target: Path,
    plan: Recipe,
    tree: Path,
    release: str,
    dependencies: Mapping[str, tuple[str, tuple[str, ...]]],
) -> None:
    """Busybox, the modules that reach the root file system, and the script that mounts it."""
    folders = ("bin", "dev", "proc", "sys", "root", "modules")
    entries = [*map(initramfs.folder, folders), initramfs.console()]
    entries.append(initramfs.program("bin/busybox", (tree / "usr/bin/busybox").read_bytes()))
    script = (recipe.VM_IMAGE / "initramfs/init").read_bytes()
    entries += [initramfs.link("bin/sh", "busybox"), initramfs.program("init", script)]
    order = kernel.load_order(dependencies, plan["modules"]["initrd"])
    for number, path in enumerate(order):
        content = kernel.read_module(tree / "usr/lib/modules" / release / path)
        name = f"modules/{number:02d}-{kernel.module_name(path)}.ko"
        entries.append(initramfs.program(name, content))
    target.write_bytes(initramfs.pack(entries))


def write_kernel(target: Path, tree: Path, release: str) -> None:
    """x86: the bare ELF that QEMU enters by PVH. Elsewhere: as Debian ships it."""
    image = (tree / "boot" / f"vmlinuz-{release}").read_bytes()
    if kernel.is_bzimage(image):
        image = kernel.compact(kernel.unpack_bzimage(image))
    target.write_bytes(image)


def measure(path: Path) -> dict[str, Any]:
    """Size in bytes and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


def replace(made: Path, folder: Path) -> None:
    """Put the new image where the old one is; a running VM keeps the files that it has open."""
    old = made.parent / "old"
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def describe(made: Built, seconds: float) -> str:
    """What a person reads at the end."""
    sizes = {name: entry["size"] / 1e6 for name, entry in made.manifest["files"].items()}
    parts = ", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items())
    version = made.manifest["kernel"]["version"]
    verb = "is up to date" if made.was_there else f"built in {seconds:.0f} s"
    return f"{made.folder} {verb}: Linux {version}; {parts}; together {sum(sizes.values()):.1f} MB"
