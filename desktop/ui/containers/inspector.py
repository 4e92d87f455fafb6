"""The inspector of a container: head, facts line and the tabs Logs, Stats, Inspect, Details."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from desktop.client import parse, words
from desktop.client.rows import Container, Health, State
from desktop.ui.bridge import Task
from desktop.ui.containers.details import open_url, sections
from desktop.ui.containers.logs.pane import LogPane
from desktop.ui.containers.rows import Row, image_name
from desktop.ui.containers.stats import StatsPane
from desktop.ui.session import Session
from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.buttons import LINK, Button, IconButton
from desktop.ui.widgets.choices import Choice, Tabs
from desktop.ui.widgets.facts import Facts
from desktop.ui.widgets.fields import CopyText, Elided, Label
from desktop.ui.widgets.header import Header
from desktop.ui.widgets.json_view import JsonView
from desktop.ui.widgets.panes import Stack, bar, column
from desktop.ui.widgets.states import EmptyState

TABS = [
    Choice("logs", "Logs"),
    Choice("stats", "Stats"),
    Choice("inspect", "Inspect"),
    Choice("details", "Mounts, ports & env"),
]


class Inspector(QWidget):
    """Shows one container, or says what to choose. `asked` carries an action's name."""

    asked = Signal(str)
    back = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._row: Row | None = None
        self._started = 0.0
        self._power_action = "stop"
        self._asking: Task | None = None
        paint_surface(self, "window")
        outer = column(self)
        self._stack = Stack()
        outer.addWidget(self._stack)
        self._none = EmptyState()
        self._stack.put("none", self._none)
        self._stack.put("one", self._one())
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._tick)
        self._clock.start()

    def _one(self) -> QWidget:
        page = QWidget()
        outer = column(page)
        self.header = Header()
        self.header.back.connect(self.back)
        self._toggle = IconButton("rotate-cw", "Restart", "Ctrl+R")
        self._toggle.clicked.connect(lambda: self.asked.emit("restart"))
        self._power = IconButton("square", "Stop", "Ctrl+.")
        self._power.clicked.connect(lambda: self.asked.emit(self._power_action))
        more = IconButton("ellipsis", "More actions")
        more.clicked.connect(lambda: self.asked.emit("menu"))
        self.more = more
        for button in (self._toggle, self._power, more):
            self.header.add(button)
        outer.addWidget(self.header)
        strip, self._line = bar(34, right=16)
        self._image = Elided("text", 11.5, mono=True)
        self._line.addWidget(self._image, 1)
        self._links = QHBoxLayout()
        self._links.setSpacing(4)
        self._line.addLayout(self._links)
        self._since = Label("", "text2", 12)
        self._line.addWidget(self._since)
        self._id = CopyText("container id")
        self._line.addWidget(self._id)
        outer.addWidget(strip)
        self.tabs = Tabs(TABS, "Container")
        outer.addWidget(self.tabs)
        self._pages = Stack()
        self.logs = LogPane(self._session)
        self.stats = StatsPane()
        self.json = JsonView()
        self.details = Facts("Details of the container")
        for name, widget in (
            ("logs", self.logs),
            ("stats", self.stats),
            ("inspect", self.json),
            ("details", self.details),
        ):
            self._pages.put(name, widget)
        self.tabs.chosen.connect(self._turn)
        outer.addWidget(self._pages, 1)
        return page

    # -- showing ---------------------------------------------------------------------------

    def show_row(self, row: Row | None) -> None:
        """Show a container; None says that one can be chosen."""
        changed = row is None or self._row is None or row.key != self._row.key
        before = self._row
        self._row = row
        if row is None:
            self.logs.show_container(None)
            self._none.tell(
                "box",
                "Nothing selected",
                "Choose a container to see its log, numbers and settings.",
            )
            self._stack.turn("none")
            return
        self._stack.turn("one")
        self._head(row)
        if changed:
            self._started = 0.0
            self._since.setText("")
        if changed or before is None or before.container != row.container:
            self._inspect()
        self._content()

    def show_many(self, count: int) -> None:
        """Say that several are selected."""
        self._row = None
        self.logs.show_container(None)
        self._none.tell(
            "layers",
            f"{count} containers",
            "Start, stop, restart or remove them together.",
            [
                ("Start", "play", lambda: self.asked.emit("start")),
                ("Stop", "square", lambda: self.asked.emit("stop")),
                ("Remove…", "trash-2", lambda: self.asked.emit("remove")),
            ],
        )
        self._stack.turn("none")

    def _head(self, row: Row) -> None:
        one = row.container
        chip, tone = _chip(one)
        self.header.title.tell(one.name, mark=row.mark, chip=chip, tone=tone)
        idle = not row.busy and not row.stale
        running = one.running and one.state is not State.PAUSED
        self._power_action = "stop" if running else "start"
        self._power.describe("square" if running else "play", "Stop" if running else "Start")
        self._toggle.setEnabled(idle and one.running)
        self._power.setEnabled(idle)
        self._image.set_text(image_name(one.image))
        self._id.set_value(one.id[:12], one.id)
        self._show_links(one)

    def _show_links(self, one: Container) -> None:
        labels = [(f":{p.public}", p.url) for p in one.ports if p.url][:2]
        if len(labels) == 1:
            labels = [(f"localhost{labels[0][0]}", labels[0][1])]
        now = []
        for number in range(self._links.count()):
            item = self._links.itemAt(number)
            widget = item.widget() if item else None
            now.append(widget.text() if isinstance(widget, Button) else "")
        if now == [label for label, _ in labels]:
            return
        while (item := self._links.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for label, url in labels:
            button = Button(label, LINK, "external-link", small=True)
            button.setToolTip(f"Open {url}")
            button.clicked.connect(lambda _=False, u=url: open_url(u))
            self._links.addWidget(button)

    def _inspect(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        row = self._row
        if row is None or not self._session.reachable:
            return
        expected = row.key

        def arrived(value: dict[str, Any]) -> None:
            if self._row is None or self._row.key != expected:
                return
            self.json.show_value(value)
            self.details.show_sections(sections(self._row.container, value))
            state = value.get("State") or {}
            self._started = parse.timestamp(str(state.get("StartedAt", "")))
            self._tick()

        engine = self._session.engine
        self._asking = self._session.bridge.call(
            lambda: engine.inspect_container(expected), arrived, lambda _error: None
        )

    def _turn(self, name: str) -> None:
        self._pages.turn(name)
        self._content()

    def _content(self) -> None:
        if self._row is None:
            return
        self.logs.show_container(self._row.container)
        self.tell_numbers()

    def tell_numbers(self) -> None:
        """New numbers came."""
        if self._row is not None and self.tabs.current == "stats":
            facts = self._session.facts
            history = self._session.samples.get(self._row.key, ())
            self.stats.tell(self._row.container, list(history), facts.cpus if facts else 0)

    def _tick(self) -> None:
        row = self._row
        if row is None:
            return
        if row.container.running and self._started:
            self._since.setText(f"Up {words.uptime(max(0.0, time.time() - self._started))}")
        else:
            self._since.setText(row.instead)

    # -- keys ------------------------------------------------------------------------------

    def focus_search(self) -> bool:
        """Put the caret into the search field of the tab; False when it has none."""
        if self._row is None or self.tabs.current not in ("logs", "inspect"):
            return False
        field = self.logs.field if self.tabs.current == "logs" else self.json.field
        field.setFocus()
        field.selectAll()
        return True


def _chip(one: Container) -> tuple[str, str]:
    if one.health is Health.HEALTHY:
        return "Healthy", "ok"
    if one.health is Health.UNHEALTHY:
        return "Unhealthy", "warn"
    if one.state is State.PAUSED:
        return "Paused", "info"
    if one.state is State.RESTARTING:
        return "Restarting", "err"
    if one.problem:
        return f"Exited {one.exit_code}", "err"
    return "", ""
