"""The root file system: chosen files of the packages, Python, modules, our own files over them."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from image_build import kernel, python_files, welcome
from image_build.debian import Packages
from image_build.elf import is_elf, library_closure
from image_build.errors import BuildError
from image_build.recipe import CHECKOUT, VM_IMAGE, Recipe, find_architecture
from image_build.run import run

# Mount points and links of a merged-/usr system; /etc's changing files live in /run.
FOLDERS = (
    "proc", "sys", "dev", "run", "tmp", "root", "etc", "host_mnt", "mnt", "home", "srv", "opt",
    "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share", "usr/lib/cove",
    "var/lib/cove", "var/cache", "var/spool",
)  # fmt: skip
LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "var/run": "/run",
    "var/lock": "/run/lock",
    "var/tmp": "/tmp",
    "var/log": "/run/log",
    "etc/mtab": "/proc/self/mounts",
    "etc/resolv.conf": "/run/cove/resolv.conf",
    "etc/hostname": "/run/cove/hostname",
    "etc/hosts": "/run/cove/hosts",
}


def assemble(
    root: Path,
    recipe: Recipe,
    packages: Packages,
    tools: Packages,
    wheels: Sequence[Path],
    release: str,
    modules: dict[str, str],
) -> None:
    """Fill the folder `root` with everything that the image holds."""
    version = recipe["python"]["version"]
    arch = recipe.architecture
    make_skeleton(root)
    copy_kept(packages.tree, root, recipe.expand(recipe["files"]["keep"]))
    library = root / "usr/lib" / f"python{version}"
    source = packages.tree / "usr/lib" / f"python{version}"
    python_files.copy_standard_library(source, library, recipe["python"]["drop"])
    python_files.unpack_wheels(wheels, library, recipe["python"]["drop_wheels"])
    copy_libraries(packages.tree, root, arch.triplet, arch.loader)
    write_certificates(packages.tree, root)
    applets = list_applets(tools.tree)
    copy_over(VM_IMAGE / "rootfs", root)
    link_applets(root, applets)
    copy_engine(root, version)
    busybox = (packages.tree / "usr/bin/busybox").read_bytes()
    put(root / "usr/share/cove/welcome.tar", welcome.archive(busybox, applets, arch.name))
    copy_modules(packages.tree, root, release, modules)
    copy_licences(packages.tree, root)
    here = find_architecture(platform.machine())
    python_files.compile_ahead(root, tools.tree, here, version)


def make_skeleton(root: Path) -> None:
    """Folders and the links of a merged /usr, which packages leave to their scripts."""
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)


def put(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def copy_kept(tree: Path, root: Path, patterns: Sequence[str]) -> None:
    """The recipe's files from the packages; a pattern without a match is told."""
    missing = []
    for pattern in patterns:
        matches = sorted(tree.glob(pattern))
        if not matches:
            missing.append(pattern)
        for path in matches:
            target = root / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
    if missing:
        raise BuildError(f"image.toml keeps files that no package brings: {', '.join(missing)}")


def copy_libraries(tree: Path, root: Path, triplet: str, loader: str) -> None:
    """The shared libraries of all programs and extension modules, and the dynamic loader."""
    programs = [
        path
        for path in (root / "usr").rglob("*")
        if path.is_file() and not path.is_symlink() and is_elf(path)
    ]
    for path in library_closure(programs, [tree / "usr/lib" / triplet, tree / "usr/lib"]):
        if path.name in ("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"):
            continue
        target = root / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.resolve(), target)  # links lead to longer names; one name is enough
    target = root / "usr" / loader
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile((tree / "usr" / loader).resolve(), target)
    target.chmod(0o755)


def write_certificates(tree: Path, root: Path) -> None:
    """One bundle of all root certificates, where Python's ssl and other programs look."""
    certificates = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    if not certificates:
        raise BuildError("ca-certificates brought no certificates")
    bundle = b"".join(path.read_bytes().rstrip() + b"\n" for path in certificates)
    put(root / "etc/ssl/certs/ca-certificates.crt", bundle)
    (root / "usr/lib/ssl").mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/ssl/certs").symlink_to("/etc/ssl/certs")
    (root / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
    configuration = tree / "etc/ssl/openssl.cnf"
    if configuration.exists():
        shutil.copyfile(configuration, root / "etc/ssl/openssl.cnf")
        (root / "usr/lib/ssl/openssl.cnf").symlink_to("/etc/ssl/openssl.cnf")


def list_applets(tools: Path) -> list[str]:
    """The names under which busybox is called; asked from this machine's build of it."""
    return run([tools / "usr/bin/busybox", "--list"]).decode().split()


def link_applets(root: Path, applets: Sequence[str]) -> None:
    """Busybox' names, where no real program has them."""
    for applet in applets:
        taken = any((root / f / applet).is_symlink() or (root / f / applet).exists()
                    for f in ("usr/bin", "usr/sbin"))  # fmt: skip
        if not taken and applet not in ("init", "linuxrc"):
            (root / "usr/bin" / applet).symlink_to("busybox")


def copy_over(source: Path, root: Path) -> None:
    """Our own files: copied as they are, with the execute bit as the only right that counts."""
    for path in sorted(source.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        target = root / path.relative_to(source)
        if path.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to(os.readlink(path))
        elif path.is_file():
            executable = path.stat().st_mode & stat.S_IXUSR
            target.unlink(missing_ok=True)
            put(target, path.read_bytes(), 0o755 if executable else 0o644)


def copy_engine(root: Path, version: str) -> None:
    """The engine of this checkout; a link makes `python3 -m engine` find it without site paths."""
    target = root / "usr/lib/cove/engine"
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(CHECKOUT / "engine", target, ignore=unwanted)
    (root / f"usr/lib/python{version}/engine").symlink_to("/usr/lib/cove/engine")


def copy_modules(tree: Path, root: Path, release: str, modules: dict[str, str]) -> None:
    """The chosen kernel modules, unpacked, with the indexes that modprobe reads."""
    source, target = (base / "usr/lib/modules" / release for base in (tree, root))
    for path in modules.values():
        plain = path.split(".ko", 1)[0] + ".ko"
        put(target / plain, kernel.read_module(source / path))
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        put(target / index, (source / index).read_bytes())
    run(["depmod", "-b", root, release])


def write_load_list(root: Path, stage: str, release: str, paths: Sequence[str]) -> None:
    """The modules that PID 1 inserts at a stage of the start, one path a line, in order."""
    lines = [f"/usr/lib/modules/{release}/{path.split('.ko', 1)[0]}.ko\n" for path in paths]
    put(root / "usr/lib/cove" / f"modules.{stage}", "".join(lines).encode())


def copy_licences(tree: Path, root: Path) -> None:
    """The copyright files of the packages: free software travels with its terms."""
    for path in sorted(tree.glob("usr/share/doc/*/copyright")):
        if path.is_file() and not path.parent.is_symlink():
            put(root / path.relative_to(tree), path.read_bytes())


def make_erofs(root: Path, target: Path, plain: Sequence[str]) -> None:
    """Compress the folder into a read-only file system whose files all belong to root.

    Files that match `plain` (regular expressions over paths) are stored as they are: what every
    start reads comes sooner without unpacking.
    """
    hints = target.with_name("hints")
    hints.write_text("".join(f"0 {pattern}\n" for pattern in plain))
    run(
        [
            "mkfs.erofs", "--quiet", "-zlz4hc,9", "-C65536", "-Eztailpacking", "-T0", "--all-root",
            "-U", "c0ffee00-c0fe-4c0e-8c0e-c0ffee00c0fe", "-x-1", f"--compress-hints={hints}",
            target, root,
        ]
    )  # fmt: skip
    hints.unlink()
