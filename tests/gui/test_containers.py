"""The Containers page driven as a person does, on a real engine."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.client.rows import State
from desktop.ui.application import Parts
from desktop.ui.containers.page import ContainersPage
from desktop.ui.containers.rows import Group, Row
from desktop.ui.widgets.keyed import ITEM
from desktop.ui.widgets.rows import RowState
from desktop.ui.widgets.sheet import Sheet
from tests.support.native import NativeEngine

SHELL = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done"


def page_of(parts: Parts) -> ContainersPage:
    page = parts.window.page("containers")
    assert isinstance(page, ContainersPage)
    return page


def run(engine: NativeEngine, name: str, *command: str, flags: tuple[str, ...] = ()) -> str:
    command = command or ("sleep", "1000")
    made = engine.docker(
        "run", "-d", "--label", "gui", "--network", "none", "--name", name, *flags,
        "busybox", *command,
    )  # fmt: skip
    return made.stdout.strip()


def row(parts: Parts, id: str) -> Row | None:
    items = page_of(parts).model.items
    return next((one for one in items if isinstance(one, Row) and one.key == id), None)


def wait_state(qtbot: QtBot, parts: Parts, id: str, state: State) -> None:
    def arrived() -> bool:
        found = row(parts, id)
        return found is not None and found.container.state is state and not found.busy

    qtbot.waitUntil(arrived, timeout=20_000)


def wait_gone(qtbot: QtBot, engine: NativeEngine, id: str) -> None:
    def gone() -> bool:
        return id not in engine.docker("ps", "-aq", "--no-trunc").stdout

    qtbot.waitUntil(gone, timeout=15_000)


def test_a_container_of_the_command_line_appears_and_goes(
    parts: Parts, engine: NativeEngine, qtbot: QtBot
) -> None:
    id = run(engine, "gui-appears")
    wait_state(qtbot, parts, id, State.RUNNING)
    found = row(parts, id)
    assert found is not None and found.container.image == "busybox"
    engine.docker("rm", "-f", id)
    qtbot.waitUntil(lambda: row(parts, id) is None, timeout=10_000)


def test_stop_start_pause_and_restart(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    id = run(engine, "gui-life", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    page.view.choose(id)
    page.act("pause")
    assert row(parts, id).busy == "Pausing"  # type: ignore[union-attr]
    wait_state(qtbot, parts, id, State.PAUSED)
    page.act("resume")
    wait_state(qtbot, parts, id, State.RUNNING)
    before = parts.session.engine.inspect_container(id)["State"]["StartedAt"]
    page.act("restart")
    qtbot.waitUntil(
        lambda: (
            parts.session.engine.inspect_container(id)["State"]["StartedAt"] != before
            and not parts.session.busy
        ),
        timeout=15_000,
    )
    page.act("stop")
    wait_state(qtbot, parts, id, State.EXITED)
    page._acted(id, "start")
    wait_state(qtbot, parts, id, State.RUNNING)


def test_removal_waits_and_can_be_undone(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    id = run(engine, "gui-undo", "true")
    wait_state(qtbot, parts, id, State.EXITED)
    page = page_of(parts)
    page.view.setFocus()
    page.view.choose(id)
    qtbot.keyClick(page.view, Qt.Key.Key_Delete)
    assert row(parts, id) is None
    assert parts.window.toast.isVisible()
    qtbot.keyClick(parts.window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    parts.window._undo()
    qtbot.waitUntil(lambda: row(parts, id) is not None, timeout=5_000)
    assert not parts.window.toast.isVisible()
    page.view.choose(id)
    page.act("remove")
    parts.session.finish_removal()
    wait_gone(qtbot, engine, id)
    qtbot.waitUntil(lambda: id not in parts.session.hidden, timeout=10_000)


def test_a_running_container_is_asked_about(
    parts: Parts, engine: NativeEngine, qtbot: QtBot
) -> None:
    id = run(engine, "gui-ask")
    wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    page.view.choose(id)
    page.act("remove")
    sheet = page.findChild(Sheet)
    assert sheet is not None and sheet.go.text() == "Stop and remove"
    assert sheet.cancel.hasFocus() or not sheet.go.hasFocus()
    sheet.go.click()
    wait_gone(qtbot, engine, id)


def test_logs_follow_and_can_be_searched(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    id = run(engine, "gui-logs", "sh", "-c", SHELL)
    wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    page.view.choose(id)
    logs = page._inspector.logs
    qtbot.waitUntil(lambda: len(logs.buffer.lines) > 30, timeout=15_000)
    assert logs.buffer.lines[0].text == "line 1" and logs.buffer.lines[0].time > 0
    assert logs.view.following
    bar = logs.view.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 100, timeout=15_000)
    bar.setValue(0)
    assert not logs.view.following
    count = len(logs.buffer.lines)
    qtbot.waitUntil(lambda: len(logs.buffer.lines) > count + 5, timeout=10_000)
    assert bar.value() == 0 and logs.view.unseen > 0
    logs.field.setText("line 2")
    logs.step(1)
    assert logs._hits and logs.buffer.lines[logs._hits[0]].text == "line 2"
    # The stream of another container replaces it.
    other = run(engine, "gui-logs-2", "sh", "-c", "echo out; echo bad >&2")
    wait_state(qtbot, parts, other, State.EXITED)
    page.view.choose(other)
    qtbot.waitUntil(lambda: len(logs.buffer.lines) == 2, timeout=10_000)
    assert {(one.stream, one.text) for one in logs.buffer.lines} == {(1, "out"), (2, "bad")}


def test_numbers_come_for_visible_rows(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    id = run(engine, "gui-busy", "sh", "-c", "while :; do :; done", flags=("--cpus", "0.2"))
    wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    page.view.choose(id)

    def numbers() -> bool:
        history = parts.session.samples.get(id)
        return bool(history) and len(history) >= 3  # type: ignore[arg-type]

    qtbot.waitUntil(numbers, timeout=20_000)
    cpu = [one.cpu for one in parts.session.samples[id]][1:]
    assert 0.05 < sum(cpu) / len(cpu) < 0.4
    page.show_tab("stats")
    page._inspector.tell_numbers()
    assert parts.session.samples[id][-1].memory > 0


def test_row_actions_by_pointer(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    id = run(engine, "gui-pointer", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    view = page.view
    index = page.model.index(page.model.row_of(id))
    view.scrollTo(index)
    rect = QRectF(view.visualRect(index))
    state = RowState(hovered=True)
    places = dict(page.delegate.parts(rect, index.data(ITEM), state))
    assert list(places)[:4] == ["logs", "restart", "stop", "more"]
    assert dict(page.delegate.parts(rect, index.data(ITEM), RowState())) == {}
    stop = places["stop"].center().toPoint()
    qtbot.mouseMove(view.viewport(), stop)
    qtbot.waitUntil(lambda: view.row_state(index, False).part == "stop", timeout=3_000)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=stop)
    wait_state(qtbot, parts, id, State.EXITED)
    menu = page.build_menu([row for row in page.rows() if row.key == id], page)
    labels = [action.text().partition("\t")[0] for action in menu.actions()]
    assert "Start" in labels and "Remove…" in labels and "Stop" not in labels


def test_projects_fold(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    flags = ("--label", "com.docker.compose.project=gui-shop")
    ids = [run(engine, f"gui-shop-{n}", flags=flags) for n in (1, 2)]
    for id in ids:
        wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    group = next(i for i in page.model.items if isinstance(i, Group) and i.project == "gui-shop")
    assert (group.running, group.total) == (2, 2)
    page.view.choose(ids[0])
    qtbot.keyClick(page.view, Qt.Key.Key_Left)
    assert row(parts, ids[0]) is None
    page._acted(group.key, "fold")
    assert row(parts, ids[0]) is not None
    page.filter.setText("gui-shop-2")
    shown = [i.container.name for i in page.model.items if isinstance(i, Row)]
    assert shown == ["gui-shop-2"]
    page.filter.setText("nothing like this")
    assert not page.model.items
    page.filter.clear()


def test_a_failed_operation_says_why(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    made = engine.docker("create", "--label", "gui", "--name", "gui-bad", "busybox", "/nowhere")
    id = made.stdout.strip()
    qtbot.waitUntil(lambda: row(parts, id) is not None, timeout=10_000)
    page = page_of(parts)
    page._acted(id, "start")
    qtbot.waitUntil(lambda: bool((row(parts, id) or Row).problem), timeout=15_000)
    found = row(parts, id)
    assert found is not None and "nowhere" in found.problem
    assert page.banner.isVisible()


def test_inspector_shows_settings_and_copies_the_id(
    parts: Parts, engine: NativeEngine, qtbot: QtBot
) -> None:
    id = run(engine, "gui-facts", flags=("-e", "API_TOKEN=secret", "-e", "MODE=fast"))
    wait_state(qtbot, parts, id, State.RUNNING)
    page = page_of(parts)
    page.view.choose(id)
    page.show_tab("inspect")
    text = page._inspector.json.edit
    qtbot.waitUntil(lambda: f'"Id": "{id}"' in text.toPlainText(), timeout=10_000)
    assert "API_TOKEN=secret" in text.toPlainText()
    told = str(page._inspector.details._told)
    assert "MODE" in told and "API_TOKEN" in told
    page.act("copy")
    assert QApplication.clipboard().text() == id


def test_engine_that_goes_and_comes_back(
    attach: Callable[[str], Parts], engine: NativeEngine, qtbot: QtBot
) -> None:
    id = run(engine, "gui-away")
    parts = attach(str(engine.socket))
    wait_state(qtbot, parts, id, State.RUNNING)
    engine.stop()
    qtbot.waitUntil(lambda: not parts.session.reachable, timeout=10_000)
    found = row(parts, id)
    assert found is not None and found.mark == "stale"
    engine.start()
    qtbot.waitUntil(lambda: parts.session.reachable, timeout=10_000)
    wait_state(qtbot, parts, id, State.RUNNING)
