"""`extension.json`: what an extension says about itself, and why it can't be used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "extension.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# A manifest is a page of text; more is a mistake or an attack.
_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Extension:
    """An extension that can be opened; `page` and `icon` lie below `folder`."""

    folder: Path
    name: str
    title: str
    version: str
    publisher: str
    description: str
    page: Path
    icon: str

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return str(self.folder)


@dataclass(frozen=True)
class Broken:
    """A folder that is no usable extension: why, and what to do."""

    folder: Path
    why: str
    hint: str
    raw: str = ""

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return str(self.folder)


def read(folder: Path) -> Extension | Broken:
    """The extension in `folder`; never raises."""
    file = folder / MANIFEST
    try:
        if file.stat().st_size > _LIMIT:
            return Broken(
                folder, f"{MANIFEST} is larger than 64 kB.", "Keep it to the named fields."
            )
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Broken(folder, f"There is no {MANIFEST}.", "Add one, or remove the folder.")
    except (OSError, UnicodeDecodeError) as error:
        return Broken(folder, f"{MANIFEST} can't be read.", "Check its rights.", str(error))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Broken(
            folder, f"{MANIFEST} is not valid JSON.", f"Correct it: {error}.", text[:2000]
        )
    if not isinstance(value, dict):
        return Broken(folder, f"{MANIFEST} is not an object.", "Write it as { ... }.", text[:2000])
    return _checked(folder, value, text)


def _checked(folder: Path, value: Mapping[str, Any], text: str) -> Extension | Broken:
    missing = [field for field in ("name", "title", "version", "page") if not value.get(field)]
    if missing:
        return Broken(
            folder,
            f"{MANIFEST} says no {' and no '.join(missing)}.",
            "Add what is missing.",
            text[:2000],
        )
    wrong = [key for key in _FIELDS if not isinstance(value.get(key, ""), str)]
    if wrong:
        return Broken(folder, f"{wrong[0]} is not a text.", f"Quote it in {MANIFEST}.", text[:2000])
    if not _NAME.fullmatch(value["name"]):
        hint = "Use small letters, digits, dots and dashes."
        return Broken(folder, f"{value['name']!r} is not a usable name.", hint, text[:2000])
    page = inside(folder, value["page"])
    if page is None or not page.is_file():
        return Broken(
            folder,
            f"Its page {value['page']} is not a file in its folder.",
            "Name an HTML file relative to the manifest.",
            text[:2000],
        )
    return Extension(folder, page=page, **{key: str(value.get(key, "")) for key in _FIELDS[:-1]})


_FIELDS = ("name", "title", "version", "publisher", "description", "icon", "page")


def inside(folder: Path, relative: str) -> Path | None:
    """The file that `relative` names if it lies below `folder`, links resolved; else None."""
    root = folder.resolve()
    try:
        found = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    return found if found.is_relative_to(root) and found != root else None


def installed(folder: Path) -> list[Extension | Broken]:
    """Everything below the extensions folder, by name; an absent folder is empty."""
    try:
        folders = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [read(entry) for entry in folders if not entry.name.startswith(".")]
