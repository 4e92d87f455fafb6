"""Volumes, Networks, Extensions, Start, Resources and the frame."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.agent.client import State, Status
from desktop.agent.protocol import Progress, Requirement
from desktop.paths import Home
from desktop.ui.application import Parts, _listen, _raise_first
from desktop.ui.extensions.page import ExtensionsPage
from desktop.ui.networks.page import NetworksPage
from desktop.ui.resources.page import ResourcesPage
from desktop.ui.start.page import StartPage
from desktop.ui.theme.current import theme
from desktop.ui.volumes.page import VolumesPage
from desktop.ui.widgets.panes import Panes
from desktop.ui.widgets.sheet import Sheet
from tests.support.native import NativeEngine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "extensions" / "hello"


def test_volumes_are_made_and_removed_after_a_question(
    parts: Parts, engine: NativeEngine, qtbot: QtBot
) -> None:
    parts.window.go("volumes")
    page = parts.window.page("volumes")
    assert isinstance(page, VolumesPage)
    engine.docker("volume", "create", "gui-data")
    qtbot.waitUntil(lambda: page.model.row_of("gui-data") >= 0, timeout=10_000)
    page.view.choose("gui-data")
    page.act("remove")
    sheet = page.findChild(Sheet)
    assert sheet is not None
    sheet.go.click()
    qtbot.waitUntil(lambda: page.model.row_of("gui-data") < 0, timeout=10_000)
    assert "gui-data" not in engine.docker("volume", "ls").stdout


def test_networks_of_the_engine_cannot_be_removed(parts: Parts, qtbot: QtBot) -> None:
    parts.window.go("networks")
    page = parts.window.page("networks")
    assert isinstance(page, NetworksPage)
    names = {row.network.name: row for row in page.model.items}
    assert {"bridge", "host", "none"} <= set(names)
    page.view.choose(names["bridge"].key)
    page.act("remove")
    assert page.banner.isVisible()


def test_extensions_open_locked_down(app: QApplication, home: Home, qtbot: QtBot) -> None:
    pytest.importorskip("PySide6.QtWebEngineWidgets")
    folder = home.extensions / "hello"
    shutil.copytree(EXAMPLE, folder)
    (home.path / "secret.js").write_text("document.title = 'secret'")
    (folder / "index.html").write_text(
        "<title>own</title><script src='hello2.js'></script>"
        "<img src='http://127.0.0.1:9/x.png'><img src='file:///etc/passwd'>"
        "<script src='../secret.js'></script><script src='//other/x.js'></script>"
    )
    (folder / "hello2.js").write_text("document.title = 'script ran'")
    (home.extensions / "broken").mkdir()
    page = ExtensionsPage(home)
    qtbot.addWidget(page)
    page.show()
    assert [row.title for row in page.model.items] == ["broken", "Hello"]
    page.open(page.model.items[0].key)
    assert page.slot.extension is None
    page.open(page.model.items[1].key)
    sandbox = page.slot._sandbox
    with qtbot.waitSignal(sandbox.loadFinished, timeout=30_000) as loaded:
        pass
    assert loaded.args == [True]
    qtbot.waitUntil(lambda: sandbox.title() == "script ran", timeout=10_000)
    answers: list[object] = []
    script = "fetch('http://127.0.0.1:9/').then(() => 'open', () => 'closed')"
    sandbox.page().runJavaScript(
        f"window.r=''; {script}.then(x => window.r = x); 1", answers.append
    )
    qtbot.waitUntil(lambda: answers == [1], timeout=10_000)

    def closed() -> bool:
        sandbox.page().runJavaScript("window.r", answers.append)
        return answers[-1] == "closed"

    qtbot.waitUntil(closed, timeout=10_000)
    page.close_slot()
    qtbot.wait(200)


def test_start_page_shows_the_failure_and_copies_a_report(
    app: QApplication, home: Home, qtbot: QtBot, tmp_path: Path
) -> None:
    home.console_log.write_text("cove: kernel ok\ncove: disk failed locked | End it\n")
    parts = Parts(home, str(home.docker_socket), None)
    qtbot.addWidget(parts.window)
    parts.window.show()
    page = parts.window.page("start")
    assert isinstance(page, StartPage)
    parts.machine.known = True
    steps = (
        Requirement("kernel", "Boot Linux", Progress.DONE, 0.9),
        Requirement("disk", "Attach the data disk", Progress.FAILED, 5.0, "", "It is locked.",
                    "End the other QEMU."),
        Requirement("engine", "Start the engine"),
    )  # fmt: skip
    parts.machine.status = Status(State.FAILED, steps)
    parts.machine.changed.emit()
    assert page.card.isVisible()
    assert page.card.why.text() == "It is locked."
    qtbot.waitUntil(lambda: "disk failed" in page._tail.toPlainText(), timeout=5_000)
    page.card.copy.click()
    report = QApplication.clipboard().text()
    assert "End the other QEMU." in report and "disk failed" in report
    assert parts.window.sidebar.card.words.head == "Not running"
    parts.machine.status = Status(State.BOOTING, steps[:1])
    parts.machine.changed.emit()
    assert page.title.text() == "Starting Cove" and not page.card.isVisible()
    parts.close()


def test_resources_write_the_settings(app: QApplication, home: Home, qtbot: QtBot) -> None:
    parts = Parts(home, str(home.docker_socket), None)
    qtbot.addWidget(parts.window)
    parts.window.show()
    parts.window.go("resources")
    page = parts.window.page("resources")
    assert isinstance(page, ResourcesPage)
    qtbot.waitUntil(lambda: page._saved is not None, timeout=10_000)
    assert not page.apply.isEnabled()
    before = page.disk.slider.value
    page.disk.slider.set_value(before - 10)
    assert page.disk.slider.value == before
    page.disk.slider.set_value(before + 6)
    page.memory.field.setText("1,5")
    page.memory._typed()
    assert page.memory.slider.value == 1.5
    assert page.apply.isEnabled() and page.apply.text() == "Apply"
    assert "next start" in page.note.text()
    page.apply.click()
    qtbot.waitUntil(lambda: "Applied" in page.banner.accessibleName(), timeout=10_000)
    saved = json.loads(home.settings_file.read_text())
    assert saved["memory"] == "1536M" and saved["disk"] == f"{int(before + 6)}G"
    parts.close()


def test_keys_and_narrow_widths(parts: Parts, qtbot: QtBot) -> None:
    window = parts.window
    window.resize(1240, 800)
    for number, key in enumerate(("containers", "images", "volumes", "networks"), start=1):
        qtbot.keyClick(window, Qt.Key(Qt.Key.Key_0 + number), Qt.KeyboardModifier.ControlModifier)
        window.go(key)
        assert window.current == key and window.sidebar.entries[key].isChecked()
    window.go("containers")
    page = window.list_page()
    assert page is not None and isinstance(page.panes, Panes)
    window._find()
    assert page.filter.hasFocus() or not window.isActiveWindow()
    window.resize(1000, 700)
    assert window.sidebar.rail
    window.resize(860, 700)
    assert page.panes.single and not page.panes.inspector.isVisible()
    page.view.setFocus()
    qtbot.keyClick(page.view, Qt.Key.Key_Down)
    page.open_inspector()
    assert page.panes.inspector.isVisible() and not page.panes.list_pane.isVisible()
    qtbot.keyClick(page.first_of_inspector(), Qt.Key.Key_Escape)
    assert page.panes.list_pane.isVisible()
    window.resize(1240, 800)
    assert page.panes.inspector.isVisible()


def test_palette_finds_and_runs(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    engine.docker("run", "-d", "--label", "gui", "--network", "none", "--name", "gui-pal",
                  "busybox", "sleep", "1000")  # fmt: skip
    rows = parts.session

    def state() -> str:
        found = [one.state for one in rows.containers if one.name == "gui-pal"]
        return found[0] if found else ""

    qtbot.waitUntil(lambda: state() == "running", timeout=10_000)
    palette = parts.window.open_palette()
    qtbot.keyClicks(palette.field, "stop gui-pal")
    titles = [one.title for one in palette.model.items]
    assert titles == ["Containers", "Stop gui-pal"]
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: state() == "exited", timeout=20_000)
    palette = parts.window.open_palette()
    qtbot.keyClicks(palette.field, "page")
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert parts.window.current == "images"
    palette = parts.window.open_palette()
    qtbot.keyClicks(palette.field, "nothing like this")
    assert not palette.model.items
    palette.reject()


def test_scheme_changes_at_once(parts: Parts, qtbot: QtBot) -> None:
    window = parts.window
    light = window.grab().toImage().pixelColor(400, 700)
    theme.use("dark")
    dark = window.grab().toImage().pixelColor(400, 700)
    theme.use("light")
    assert light.lightness() > 240 and dark.lightness() < 60


def test_second_window_raises_the_first(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    name = str(tmp_path / "w.sock")
    assert not _raise_first(name)
    server = _listen(name, parts.window)
    parts.window.hide()
    assert _raise_first(name)
    qtbot.waitUntil(parts.window.isVisible, timeout=5_000)
    server.close()


def test_layout_is_remembered(attach: Callable[[str], Parts], tmp_path: Path) -> None:
    parts = attach(str(tmp_path / "none.sock"))
    parts.layout.remember("split/containers", [420])
    parts.window.resize(1111, 777)
    parts.window.close()
    again = attach(str(tmp_path / "none.sock"))
    assert (again.window.width(), again.window.height()) == (1111, 777)
    assert again.layout.integers("split/containers") == [420]
