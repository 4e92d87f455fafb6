"""Every field of a create request is honoured, refused or told: see the table in tests.support."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.containers.record import Json
from tests.support.container_fields import BARE, KEPT, ROWS, UNABLE, Honoured
from tests.support.container_view import DOCUMENT, at, document, holds, names, row_of, told, view


@pytest.mark.parametrize("name", sorted({*ROWS, *KEPT}))
def test_a_field_is_honoured_refused_or_told(name: str, tmp_path: Path) -> None:
    row = row_of(name)
    if isinstance(row, Honoured):
        assert holds(at(view(row.asked, row.machine, tmp_path), row.path), row.value)
        return
    _, said = told(row.asked, row.machine)
    assert any(row.words in one for one in said), said


def test_every_field_of_the_document_has_its_row() -> None:
    assert set(names()) == {*ROWS, *KEPT}


@pytest.mark.parametrize(("asked", "words"), UNABLE)
def test_what_this_machine_cannot_do(asked: Json, words: str) -> None:
    _, said = told(asked, BARE)
    assert any(words.lower() in one.lower() for one in said), said


def test_the_published_table_is_current() -> None:
    assert DOCUMENT.read_text() == document(), (
        "run: .venv/bin/python -m tests.support.container_view"
    )
