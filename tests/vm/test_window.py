"""The real window on a real VM: from the first start to a restart with other settings."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.agent.client import State
from desktop.paths import Home
from desktop.ui.application import Parts, prepare
from desktop.ui.resources.page import ResourcesPage
from tests.vm.conftest import VM, clean, new_vm

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(400),
    # the agent that the window started outlives it, as it should
    pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning"),
]
IMAGE = "cove/welcome"
START_MS = 180_000


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
    return QApplication


@pytest.fixture
def stopped(image: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VM]:
    """A VM that was never started; the window starts it with this process' environment."""
    vm = new_vm()
    for name in ("COVE_HOME", "COVE_ACCEL", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, vm.environment[name])
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    try:
        yield vm
    finally:
        clean(vm)


@pytest.fixture
def parts(stopped: VM, qapp: QApplication) -> Iterator[Parts]:
    """A window as `cove` opens it, which starts the machine."""
    prepare(qapp, "light")
    home = Home(stopped.home)
    home.create()
    made = Parts(home, str(home.docker_socket), home.path / "window.json")
    made.window.show()
    yield made
    made.close()
    made.window.deleteLater()
    qapp.processEvents()


def test_from_the_first_start_to_a_restart(parts: Parts, stopped: VM, qtbot: QtBot) -> None:
    window, machine, session = parts.window, parts.machine, parts.session
    seen: list[tuple[str, ...]] = []
    pages: list[str] = []

    def note() -> None:
        seen.append(tuple(each.state for each in machine.status.requirements))
        pages.append(window.current)

    machine.changed.connect(note)
    assert window.current == "start"
    parts.open(start=True)
    qtbot.waitUntil(lambda: machine.running, timeout=START_MS)
    # the list grew before the user's eyes, and the page stayed until it was through
    lists = [each for each in dict.fromkeys(seen) if each]
    assert len(lists) >= 6
    assert any("running" in each and "done" in each for each in lists)
    assert set(lists[-1]) == {"done"} and len(lists[-1]) == 7
    assert set(pages) == {"start"}
    qtbot.waitUntil(lambda: window.current == "containers", timeout=10_000)
    qtbot.waitUntil(lambda: session.loaded >= {"container", "image"}, timeout=30_000)
    assert [row.repository for row in session.images] == [IMAGE]

    # what the docker command does shows up by itself
    name = f"t-{uuid.uuid4().hex[:8]}"
    stopped.docker("run", "-d", "--restart", "always", "--name", name, IMAGE, "sleep", "1000")

    def running() -> bool:
        return [(row.name, row.running) for row in session.containers] == [(name, True)]

    qtbot.waitUntil(running, timeout=10_000)

    # Resources: one CPU
    window.go("resources")
    page = window.page("resources")
    assert isinstance(page, ResourcesPage)
    qtbot.waitUntil(page.cpu.isEnabled, timeout=10_000)
    page.cpu.field.setText("1")
    page.cpu.field.editingFinished.emit()
    assert page.apply.text() == "Apply and restart" and page.apply.isEnabled()
    assert "the restart stops 1 container" in page.note.text()
    qtbot.mouseClick(page.apply, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: machine.asking == "apply", timeout=5_000)
    qtbot.waitUntil(lambda: machine.status.state is not State.RUNNING, timeout=60_000)
    qtbot.waitUntil(lambda: machine.running and not machine.asking, timeout=START_MS)
    assert machine.status.settings["cpus"] == 1
    assert json.loads(stopped.docker("info", "--format", "{{json .NCPU}}").stdout) == 1
    qtbot.waitUntil(lambda: page.banner.isVisible() and not page.apply.isEnabled(), timeout=10_000)
    assert page.cpu.field.text() == "1"
    # the window has found its engine again, and the container its policy
    qtbot.waitUntil(lambda: session.reachable and running(), timeout=60_000)
    facts = session.facts
    assert facts is not None and facts.cpus == 1
