"""What the window remembers between starts: sizes and splitters, as JSON below COVE_HOME."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Layout:
    """A small JSON object; a damaged or absent file is an empty one."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._values: dict[str, Any] = {}
        if file is not None:
            try:
                read = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                read = {}
            self._values = read if isinstance(read, dict) else {}

    def integers(self, key: str) -> list[int]:
        """A remembered list of whole numbers; empty when there is none."""
        value = self._values.get(key)
        if isinstance(value, list) and all(isinstance(one, int) for one in value):
            return value
        return []

    def word(self, key: str) -> str:
        """A remembered text; empty when there is none."""
        value = self._values.get(key)
        return value if isinstance(value, str) else ""

    def remember(self, key: str, value: list[int] | str) -> None:
        """Keep a value until `save`."""
        self._values[key] = value

    def save(self) -> None:
        """Write the file; a home that can't be written keeps the old layout, quietly."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(self._values, indent=1), encoding="utf-8")
            part.replace(self._file)
        except OSError:
            return
