"""The house rules that a program can check."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
LONGEST = 520


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows (in a checkout) or that lie there (in a plain copy)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=REPO, capture_output=True, text=True
    )
    if listed.returncode:
        return [path for pattern in patterns for path in REPO.rglob(pattern)]
    return [REPO / name for name in listed.stdout.split("\0") if name and (REPO / name).is_file()]


@pytest.mark.parametrize("name", ["guest", "host", "dev", "suites"])
def test_every_locked_requirement_has_hashes_and_no_address(name: str) -> None:
    text = (REPO / f"requirements/{name}.txt").read_text()
    requirements = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert requirements
    assert all("==" in line and line.endswith("\\") for line in requirements)
    assert "://" not in text
    assert "--index-url" not in text and "--extra-index-url" not in text


@pytest.mark.parametrize("wide, narrow", [("dev", "host"), ("host", "guest")])
def test_locks_agree(wide: str, narrow: str) -> None:
    def versions(name: str) -> dict[str, str]:
        text = (REPO / f"requirements/{name}.txt").read_text()
        return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ \\]+)", text, re.M))

    inner, outer = versions(narrow), versions(wide)
    assert {name: outer.get(name) for name in inner} == inner


def test_scripts_can_be_run() -> None:
    scripts = [path for path in (REPO / "scripts").iterdir() if path.is_file()]
    scripts = [path for path in scripts if path.suffix not in (".sh", ".txt")] + [REPO / ".ci/run"]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []


def test_no_file_is_overgrown() -> None:
    long = {
        str(path.relative_to(REPO)): count
        for path in tracked("*.py")
        if (count := len(path.read_text().splitlines())) > LONGEST
    }
    assert long == {}


def test_nothing_names_a_package_registry() -> None:
    hosts = re.compile("|".join((r"deb\.debian\.o" "rg", r"pypi\.o" "rg", r"registry\.npmj" "s")))
    found = [
        str(path.relative_to(REPO))
        for path in tracked("*")
        if path.suffix not in (".png", ".ttf") and hosts.search(path.read_text(errors="replace"))
    ]
    assert found == []


def test_nothing_is_left_unfinished() -> None:
    unfinished = ("NotImplementedError", r"\bTO" r"DO\b", "FIXME", "mark.skip")
    words = re.compile("|".join(unfinished))
    found = [
        f"{path.relative_to(REPO)}:{number}"
        for path in tracked("*.py")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if words.search(line)
    ]
    assert found == []
