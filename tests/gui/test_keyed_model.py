"""The list model: the smallest set of changes, fed with recorded lists."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPersistentModelIndex
from PySide6.QtTest import QAbstractItemModelTester, QSignalSpy
from pytestqt.qtbot import QtBot

from desktop.ui.widgets.keyed import ITEM, KeyedModel


@dataclass(frozen=True)
class Thing:
    key: str
    value: int = 0


def things(text: str) -> list[Thing]:
    return [Thing(letter) for letter in text]


def keys(model: KeyedModel) -> str:
    return "".join(item.key for item in model.items)


def test_every_step_keeps_the_model_sound(qtbot: QtBot) -> None:
    model = KeyedModel(lambda item: item.key)
    tester = QAbstractItemModelTester(model)
    for text in ("abc", "abcd", "xabcdy", "dcba", "", "edcba", "ace", "bdface", "z"):
        model.set_items(things(text))
        assert keys(model) == text
    assert tester.model() is model


def test_rows_that_stay_keep_their_index(qtbot: QtBot) -> None:
    model = KeyedModel(lambda item: item.key)
    model.set_items(things("abcde"))
    kept = QPersistentModelIndex(model.index(3))
    resets = QSignalSpy(model.modelReset)
    model.set_items(things("dxa"))
    assert kept.data(ITEM).key == "d" and kept.row() == 0
    assert resets.count() == 0


def test_changed_values_are_told_once_a_run(qtbot: QtBot) -> None:
    model = KeyedModel(lambda item: item.key)
    model.set_items(things("abcde"))
    changed = QSignalSpy(model.dataChanged)
    model.set_items([Thing("a", 1), Thing("b", 1), Thing("c"), Thing("d", 1), Thing("e")])
    assert [(call[0].row(), call[1].row()) for call in map(changed.at, range(changed.count()))] == [
        (0, 1),
        (3, 3),
    ]
    model.touch({"b", "c"})
    assert changed.count() == 3
