"""Extension folders: good ones, broken ones, hostile ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from desktop.extensions.manifest import Broken, Extension, inside, installed, read

GOOD = {"name": "mail", "title": "Mail", "version": "1", "page": "ui/index.html"}


def make(folder: Path, manifest: Any) -> Path:
    (folder / "ui").mkdir(parents=True)
    (folder / "ui" / "index.html").write_text("<p>hello")
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / "extension.json").write_text(text)
    return folder


def test_good(tmp_path: Path) -> None:
    found = read(make(tmp_path / "mail", {**GOOD, "publisher": "Me", "icon": "mail"}))
    assert isinstance(found, Extension)
    assert (found.title, found.publisher, found.page.name) == ("Mail", "Me", "index.html")


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ("{", "not valid JSON"),
        ("[]", "not an object"),
        ({**GOOD, "title": ""}, "says no title"),
        ({**GOOD, "icon": 3}, "icon is not a text"),
        ({**GOOD, "name": "../x"}, "not a usable name"),
        ({**GOOD, "page": "missing.html"}, "not a file in its folder"),
        ({**GOOD, "page": "../../secret.html"}, "not a file in its folder"),
        ({**GOOD, "page": "/etc/passwd"}, "not a file in its folder"),
        ({**GOOD, "title": "x" * 70_000}, "larger than 64 kB"),
    ],
)
def test_broken(tmp_path: Path, manifest: Any, why: str) -> None:
    (tmp_path / "secret.html").write_text("x")
    found = read(make(tmp_path / "a" / "mail", manifest))
    assert isinstance(found, Broken)
    assert why in found.why
    assert found.hint


def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "mail", {**GOOD, "page": "out.html"})
    (tmp_path / "secret.html").write_text("x")
    (folder / "out.html").symlink_to(tmp_path / "secret.html")
    assert isinstance(read(folder), Broken)
    assert inside(folder, "ui/../ui/index.html") is not None
    assert inside(folder, "") is None
    assert inside(folder, "a\0b") is None


def test_installed_lists_folders_by_name(tmp_path: Path) -> None:
    assert installed(tmp_path / "nothing") == []
    make(tmp_path / "b", GOOD)
    (tmp_path / "a").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "file").write_text("x")
    assert [entry.folder.name for entry in installed(tmp_path)] == ["a", "b"]


def test_the_example_is_good() -> None:
    folder = Path(__file__).resolve().parents[3] / "examples" / "extensions" / "hello"
    assert isinstance(read(folder), Extension)
