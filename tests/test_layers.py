"""Imports go one way: walk every import against the table of layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]

BASE = {"errors", "events", "filters", "options", "structure", "times", "values", ""}
LOW = BASE | {"linux", "database"}
STORAGE = LOW | {"content", "registry", "snapshots"}
# What each package of the engine may import of the engine; "" is the root (its version).
ENGINE = {
    "errors": {""},
    "events": BASE,
    "filters": BASE,
    "options": BASE,
    "structure": BASE,
    "times": BASE,
    "values": {""},
    "database": LOW,
    "linux": LOW,
    "content": LOW | {"content"},
    "registry": LOW | {"content", "registry"},
    "snapshots": STORAGE,
    "runtime": LOW | {"runtime"},
    "images": STORAGE | {"images"},
    "volumes": STORAGE | {"volumes"},
    "networks": LOW | {"networks", "hostlink"},
    "hostlink": BASE,
    "system": LOW,
    "about": LOW | {"system", "registry"},
    "containers": STORAGE | {"containers", "images", "volumes", "networks", "runtime"},
    "builder": STORAGE | {"builder", "images", "volumes", "networks", "runtime"},
    "api": BASE | {"api"},
    "daemon": None,
    "__main__": None,
}
DESKTOP = {
    "failure": {""},
    "paths": {"failure", ""},
    "settings": {"failure", "paths", "macos", ""},
    "macos": {"failure", "paths", ""},
    "client": {"client", "failure", "paths", "settings", ""},
    "extensions": {"extensions", "failure", "paths", "settings", ""},
    "vm": {"vm", "failure", "paths", "settings", "macos", ""},
    "forward": {"forward", "failure", "paths", "settings", "macos", ""},
    "agent": {"agent", "vm", "forward", "failure", "paths", "settings", "macos", ""},
    "cli": {"cli", "agent", "vm", "forward", "failure", "paths", "settings", "macos", "app", ""},
    "ui": {"ui", "client", "extensions", "agent", "vm", "failure", "paths", "settings", ""},
    "app": None,
    "__main__": None,
}


def package_of(path: Path, top: str) -> str:
    parts = path.relative_to(REPO / top).parts
    name = parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Each absolute module name that the file imports, wherever it stands in it."""
    inside = path.relative_to(REPO).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(inside[: -node.level]) if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            if module in ("engine", "desktop"):
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"
            else:
                yield node.lineno, module


def violations(top: str, table: dict[str, set[str] | None]) -> list[str]:
    found = []
    for path in sorted((REPO / top).rglob("*.py")):
        own = package_of(path, top)
        allowed = {""} if own == "" else table.get(own, set())
        for line, module in imports_of(path):
            first, _, rest = module.partition(".")
            where = f"{path.relative_to(REPO)}:{line}: {module}"
            if first in ("engine", "desktop") and first != top:
                found.append(f"{where} (engine and desktop never import each other)")
            elif first == top and allowed is not None:
                target = rest.split(".")[0]
                if (
                    not (REPO / top / target).exists()
                    and not (REPO / top / f"{target}.py").exists()
                ):
                    target = ""
                if own == "api" and module.endswith(".model"):
                    continue  # values that the routes turn into documents; never a store
                if target not in allowed and target != own:
                    found.append(where)
    return found


@pytest.mark.parametrize(("top", "table"), [("engine", ENGINE), ("desktop", DESKTOP)])
def test_imports_go_one_way(top: str, table: dict[str, set[str] | None]) -> None:
    assert violations(top, table) == []


def test_only_the_window_imports_qt() -> None:
    found = [
        f"{path.relative_to(REPO)}:{line}"
        for path in sorted((REPO / "desktop").rglob("*.py"))
        if path.relative_to(REPO / "desktop").parts[0] not in ("ui", "app.py")
        for line, module in imports_of(path)
        if module.split(".")[0] == "PySide6"
    ]
    assert found == []


def test_every_package_has_a_place_in_the_table() -> None:
    missing = [
        f"{top}/{package_of(path, top)}"
        for top, table in (("engine", ENGINE), ("desktop", DESKTOP))
        for path in sorted((REPO / top).rglob("*.py"))
        if package_of(path, top) not in table and package_of(path, top) != ""
    ]
    assert missing == []
