"""Python in the image: a trimmed standard library, the locked wheels, all compiled ahead."""

from __future__ import annotations

import fnmatch
import shutil
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from image_build.errors import BuildError
from image_build.recipe import CHECKOUT, Architecture
from image_build.run import run

# Runs in the target's version of Python. Files never change in the image, so that nothing needs
# to be compared at import ("unchecked hash"); the standard library goes without docstrings, under
# the name that an ordinary start looks for. The engine keeps its own: a dataclass without one
# computes its signature at each start.
COMPILER = """
import importlib.util, os, py_compile, sys
root, failed = sys.argv[1], False
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for argument in sys.argv[2:]:
    level, _, top = argument.partition(':')
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith('.py') or os.path.islink(path):
                continue
            try:
                py_compile.compile(path, cfile=importlib.util.cache_from_source(path),
                                   dfile=path[len(root):], doraise=True, optimize=int(level),
                                   invalidation_mode=mode)
            except py_compile.PyCompileError as error:
                failed = True
                print(error.msg, file=sys.stderr)
sys.exit(1 if failed else 0)
"""
# What pip calls the C libraries that Debian trixie satisfies (glibc 2.41).
MANYLINUX = ("manylinux_2_28", "manylinux2014", "manylinux_2_17", "manylinux_2_5", "manylinux1")


def is_dropped(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path below the library, or a folder above it, matches one of the patterns."""
    parts = path.split("/")
    prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return any(fnmatch.fnmatch(prefix, pattern) for pattern in patterns for prefix in prefixes)


def copy_standard_library(source: Path, target: Path, drop: Sequence[str]) -> None:
    """The library without what the recipe drops."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_dir() or "__pycache__" in path.parts or is_dropped(name, drop):
            continue
        if not path.exists():
            continue  # a link to a file of a package that isn't part of the image
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)


def find_pip() -> str:
    """A Python that has pip: this one or the checkout's own."""
    for python in (sys.executable, str(CHECKOUT / ".venv/bin/python")):
        try:
            run([python, "-m", "pip", "--version"])
        except BuildError:
            continue
        return python
    raise BuildError("pip isn't installed: needed to fetch the engine's wheels (python3-pip)")


def fetch_wheels(cache: Path, architecture: Architecture, version: str) -> list[Path]:
    """The wheels of requirements/guest.txt for the target, checked against their hashes."""
    requirements = CHECKOUT / "requirements" / "guest.txt"
    lines = [line.split()[0] for line in requirements.read_text().splitlines() if "==" in line]
    wanted = {line.split("==")[0].lower(): line.split("==")[1] for line in lines}
    folder = cache / f"wheels-{architecture.name}"
    found = match_wheels(folder, wanted)
    if found is not None:
        return found
    platforms = [f"--platform={tag}_{architecture.wheels}" for tag in MANYLINUX]
    run(
        [
            find_pip(), "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--require-hashes", f"--python-version={version}",
            "--implementation=cp", f"--abi=cp{version.replace('.', '')}", "--abi=abi3",
            "--abi=none",
            *platforms, "-r", requirements, "-d", folder,
        ]
    )  # fmt: skip
    found = match_wheels(folder, wanted)
    if found is None:
        raise BuildError(f"pip left no wheels for {', '.join(wanted)} in {folder}")
    return found


def match_wheels(folder: Path, wanted: dict[str, str]) -> list[Path] | None:
    """The wheel of each wanted name and version, or None when one is missing."""
    found = []
    for name, version in wanted.items():
        wheels = sorted(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
        if not wheels:
            return None
        found.append(wheels[0])
    return found


def unpack_wheels(wheels: Iterable[Path], target: Path, drop: Sequence[str]) -> None:
    """Wheels are zip archives of what goes into a library folder."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not any(fnmatch.fnmatch(name, pattern) for pattern in drop):
                    archive.extract(name, target)


def compile_ahead(root: Path, tools: Path, architecture: Architecture, version: str) -> None:
    """Write all .pyc files, by the Python of `tools` (the same version, for this machine)."""
    library = root / "usr/lib" / f"python{version}"
    cove = root / "usr/lib/cove"
    script = tools / ".compile.py"
    script.write_text(COMPILER)
    run(
        [
            tools / "usr" / architecture.loader,
            "--library-path", tools / "usr/lib" / architecture.triplet,
            tools / f"usr/bin/python{version}", "-S", script,
            str(root), f"2:{library}", f"0:{cove}",
        ],
        environment={"PYTHONHOME": str(tools / "usr"), "PYTHONHASHSEED": "0"},
    )  # fmt: skip
