"""The real window, offscreen, on a real native engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.paths import Home
from desktop.ui.application import Parts, prepare
from tests.support.native import NativeEngine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/gui/" in item.nodeid:
            item.add_marker(pytest.mark.gui)


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
    return QApplication


@pytest.fixture
def app(qapp: QApplication) -> QApplication:
    prepare(qapp, "light")
    return qapp


@pytest.fixture
def attach(app: QApplication, qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[[str], Parts]]:
    """Makes windows attached to an engine's socket, and closes them."""
    made: list[Parts] = []

    def make(socket: str) -> Parts:
        parts = Parts(None, socket, tmp_path / "window.json")
        made.append(parts)
        parts.window.show()
        parts.open(start=False)
        return parts

    yield make
    for parts in made:
        parts.close()
        parts.window.deleteLater()
    app.processEvents()


@pytest.fixture
def engine(native_engine: NativeEngine) -> Iterator[NativeEngine]:
    """The engine, without what a test left behind."""
    yield native_engine
    left = native_engine.docker("ps", "-aq", "--filter", "label=gui").stdout.split()
    if left:
        native_engine.docker("rm", "-f", *left)


@pytest.fixture
def parts(attach: Callable[[str], Parts], engine: NativeEngine, qtbot: QtBot) -> Parts:
    """A window that has read everything once."""
    made = attach(str(engine.socket))
    nouns = {"container", "image", "volume", "network"}
    qtbot.waitUntil(lambda: made.session.loaded >= nouns, timeout=15_000)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A COVE_HOME of its own, without an agent."""
    found = Home(tmp_path / "home")
    found.create()
    monkeypatch.setenv("COVE_HOME", str(found.path))
    return found
