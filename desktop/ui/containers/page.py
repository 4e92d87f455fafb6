"""The Containers page: list, filter, actions, inspector."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint, QTimer
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from desktop.client import operations, words
from desktop.client.operations import Operation
from desktop.client.rows import Container, State
from desktop.ui.containers.delegate import Delegate, port_of
from desktop.ui.containers.details import open_url
from desktop.ui.containers.inspector import Inspector
from desktop.ui.containers.rows import Group, Row, View, arrange, describe, tip
from desktop.ui.containers.run_sheet import RunSheet
from desktop.ui.layout import Layout
from desktop.ui.session import Session
from desktop.ui.theme.icons import icon
from desktop.ui.widgets.buttons import PRIMARY, Button, DropButton
from desktop.ui.widgets.choices import Choice, Segments
from desktop.ui.widgets.list_page import ListPage
from desktop.ui.widgets.sheet import ask

_SORTS = {"name": "Name", "cpu": "CPU", "memory": "Memory", "created": "Newest first"}
_RESORT_SECONDS = 2.0
_MAKE: dict[str, Callable[[Container], Operation]] = {
    "start": operations.start,
    "resume": operations.resume,
    "stop": operations.stop,
    "restart": operations.restart,
    "pause": operations.pause,
}


class ContainersPage(ListPage):
    """What runs, what is wrong, where do I reach it?"""

    key, title, icon_name = "containers", "Containers", "box"
    noun, plural = "container", "containers"

    def __init__(self, session: Session, layout: Layout) -> None:
        self._folded: set[str] = set()
        self._sort = "name"
        self._sorted_at = 0.0
        self._inspector = Inspector(session)
        super().__init__(
            session, layout, self._inspector, describe, tip, lambda item: isinstance(item, Row)
        )
        self.delegate = Delegate(self.view, session.samples)
        self.view.setItemDelegate(self.delegate)
        run = Button("Run…", PRIMARY, "plus")
        run.setToolTip("Run a container (Ctrl+N)")
        run.clicked.connect(self.make_new)
        self.toolbar.addWidget(run)
        self.segments = Segments([Choice("all", "All")], "Which containers")
        self.segments.chosen.connect(lambda _k: self.refresh())
        self.choices.addWidget(self.segments)
        self.choices.addStretch()
        self._sorter = DropButton("Name")
        self._sorter.setToolTip("Order of the list")
        self._sorter.clicked.connect(self._choose_order)
        self.choices.addWidget(self._sorter)
        self.view.acted.connect(self._acted)
        self.view.folded.connect(self._fold_by_key)
        self.view.visible_changed.connect(self._visible)
        self._inspector.asked.connect(self.act)
        self._inspector.back.connect(self.close_inspector)
        session.containers_changed.connect(self.refresh)
        session.busy_changed.connect(self.refresh)
        session.reachable_changed.connect(self.refresh)
        session.samples_changed.connect(self._numbers)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self.refresh()

    # -- rows ------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Every container that is not about to be removed."""
        session = self.session
        stale = not session.reachable
        found = []
        for one in session.containers:
            if one.id in session.hidden:
                continue
            busy = session.busy.get(one.id)
            problem = session.problems.get(one.id)
            found.append(Row(one, busy.verb if busy else "", problem.why if problem else "", stale))
        return found

    def refresh(self) -> None:
        """Show what the session knows now."""
        rows = self.rows()
        containers = [row.container for row in rows]
        running = sum(one.running for one in containers)
        problems = sum(one.problem for one in containers)
        self.segments.set_items(
            [
                Choice("all", "All", len(rows)),
                Choice("running", "Running", running),
                Choice("problems", "Problems", problems, alarm=True),
            ]
        )
        view = View(self.filter.text(), self.segments.current, self._sort, frozenset(self._folded))
        self._sorted_at = time.monotonic()
        self.model.set_items(arrange(rows, view, self._weight))
        self.view.spin({row.key for row in rows if row.busy})
        self.keep_selection()
        self.tell_state(len(rows), "container")
        self._tell_total()
        self.footer.left.setText(self._selected_words())
        self._show_selected()

    def _selected_words(self) -> str:
        facts = self.session.facts
        if facts is None or not self.session.reachable:
            return "The engine does not answer" if self.session.silent_since else "Connecting…"
        return f"Engine {facts.version}, {facts.architecture}"

    def _weight(self, id: str) -> float:
        history = self.session.samples.get(id)
        if not history:
            return -1.0
        return history[-1].cpu if self._sort == "cpu" else float(history[-1].memory)

    def _tell_total(self) -> None:
        running = sum(one.running for one in self.session.containers)
        memory = sum(s[-1].memory for s in self.session.samples.values() if s)
        total = f"{running} running" + (f", {words.size(memory)}" if memory else "")
        self.footer.right.setText(total)

    def _numbers(self, changed: set[str]) -> None:
        self.model.touch(changed)
        self._tell_total()
        if self._inspector.isVisible():
            self._inspector.tell_numbers()
        live = self._sort in ("cpu", "memory")
        away = not self.view.underMouse() and not self.view.hasFocus()
        if live and away and time.monotonic() - self._sorted_at > _RESORT_SECONDS:
            self.refresh()

    def _visible(self) -> None:
        shown = self.isVisible()
        items = self.view.visible_items() if shown else []
        ids = [item.key for item in items if isinstance(item, Row)]
        if self._inspector.isVisible():
            ids += [row.key for row in self.selected() if row.key not in ids][:1]
        self.session.watch_numbers(ids)

    def empty_words(self) -> None:
        self.empty.tell(
            "box",
            "No containers yet",
            "Start one here, or use docker in any terminal; it shows up by itself.",
            [("Run an image…", "play", self.make_new)],
            "docker run -d -p 8080:80 nginx",
        )

    # -- selection -------------------------------------------------------------------------

    def selected(self) -> list[Row]:
        """The selected containers."""
        return [item for item in self.view.chosen() if isinstance(item, Row)]

    def _show_selected(self) -> None:
        rows = self.selected()
        if len(rows) > 1:
            self._inspector.show_many(len(rows))
        else:
            self._inspector.show_row(rows[0] if rows else None)

    def selection_moved(self) -> None:
        self._show_selected()
        self._visible()

    def inspecting(self, full: bool) -> None:
        self._inspector.header.show_back(full)

    def narrow(self, narrow: bool) -> None:
        self.delegate.narrow = narrow
        self.view.viewport().update()

    def focus_search(self) -> bool:
        return self._inspector.focus_search()

    def first_of_inspector(self) -> QWidget:
        return self._inspector.tabs

    def step_match(self, by: int) -> None:
        """The next or previous match in the log."""
        self._inspector.logs.step(by)

    def step_tab(self, by: int) -> None:
        self._inspector.tabs.step(by)

    def show_tab(self, name: str) -> None:
        self._inspector.tabs.choose(name)

    # -- actions ---------------------------------------------------------------------------

    def _acted(self, key: str, part: str) -> None:
        if part == "fold":
            self._fold(key.removeprefix("project:"))
            return
        row = next((r for r in self.rows() if r.key == key), None)
        if row is None:
            return
        if part.startswith(":"):
            port = port_of(row, part)
            if port and port.url:
                open_url(port.url)
        elif part == "logs":
            self.view.choose(key)
            self._inspector.tabs.choose("logs")
            if self.panes.single:
                self.open_inspector()
        elif part == "more":
            self._menu([row], QCursor.pos())
        elif part == "remove":
            self._remove([row])
        else:
            self.session.perform(_MAKE[part](row.container))

    def _fold(self, project: str) -> None:
        self._folded ^= {project}
        self.refresh()

    def _fold_by_key(self, key: str, fold: bool) -> None:
        item = next((one for one in self.model.items if one.key == key), None)
        project = item.container.project if isinstance(item, Row) else ""
        if isinstance(item, Group):
            project = item.project
        if any(isinstance(one, Group) for one in self.model.items) and item is not None:
            if (project in self._folded) != fold:
                self._fold(project)

    def act(self, name: str) -> None:
        """Do something with the selection: an action's name from a key, a button or a menu."""
        rows = self.selected()
        if not rows or not self.session.reachable:
            return
        if name == "menu":
            button = self._inspector.more
            self._menu(rows, button.mapToGlobal(QPoint(0, button.height() + 4)))
        elif name == "remove":
            self._remove(rows)
        elif name == "copy":
            QApplication.clipboard().setText("\n".join(row.key for row in rows))
        elif name in ("logs", "inspect", "stats", "details"):
            self._inspector.tabs.choose(name)
        else:
            for row in rows:
                if _sensible(name, row) and not row.busy:
                    self.session.perform(_MAKE[name](row.container))

    def _remove(self, rows: list[Row]) -> None:
        made = [operations.remove(row.container) for row in rows]
        names = words.listed([row.container.name for row in rows])
        volumes = sorted({name for row in rows for name in row.container.volumes})
        stays = f"Its volume {words.listed(volumes)} stays." if len(volumes) == 1 else ""
        if len(volumes) > 1:
            stays = f"Their volumes {words.listed(volumes)} stay."
        running = [row for row in rows if row.container.running]
        if not running:
            self.session.remove_later(made, f"Removed {names}", stays)
            return
        sentence = f"{words.listed([r.container.name for r in running])} "
        sentence += "is running and is killed first. " if len(running) == 1 else "are running. "
        sentence += f"Files outside of volumes are lost. {stays}"
        label = "Stop and remove" if len(rows) == 1 else f"Stop and remove {len(rows)}"

        def go() -> None:
            for operation in made:
                self.session.perform(operation)

        ask(self, "trash-2", f"Remove {names}?", sentence.strip(), label, go)

    def make_new(self) -> None:
        """Ask what to run."""
        RunSheet(self, self.session).open()

    def run_image(self, reference: str) -> None:
        """Ask how to run an image."""
        RunSheet(self, self.session, reference).open()

    def context_menu(self, key: str, place: QPoint) -> None:
        if key.startswith("project:"):
            project = key.removeprefix("project:")
            rows = [row for row in self.rows() if row.container.project == project]
        else:
            rows = self.selected()
            if key not in {row.key for row in rows}:
                self.view.choose(key)
                rows = self.selected()
        self._menu(rows, place)

    def _menu(self, rows: list[Row], place: QPoint) -> None:
        menu = self.build_menu(rows, self)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)

    def build_menu(self, rows: list[Row], parent: QWidget) -> QMenu:
        """The actions of these containers."""
        menu = QMenu(parent)

        def do(name: str) -> None:
            for row in rows:
                if _sensible(name, row):
                    self.session.perform(_MAKE[name](row.container))

        for name, label, glyph, keys in (
            ("start", "Start", "play", ""),
            ("stop", "Stop", "square", "Ctrl+."),
            ("restart", "Restart", "rotate-cw", "Ctrl+R"),
            ("pause", "Pause", "pause", ""),
            ("resume", "Resume", "play", ""),
        ):
            if any(_sensible(name, row) for row in rows):
                shown = f"{label}\t{keys}" if keys else label
                menu.addAction(icon(glyph), shown, partial(do, name))
        menu.addSeparator()
        if len(rows) == 1:
            one = rows[0].container
            for name, label, keys in (("logs", "Logs", "Ctrl+L"), ("inspect", "Inspect", "Ctrl+I")):
                glyph = "scroll-text" if name == "logs" else "braces"
                menu.addAction(icon(glyph), f"{label}\t{keys}", partial(self._open_tab, one, name))
            for port in one.ports:
                if port.url:
                    label = f"Open localhost:{port.public}"
                    menu.addAction(icon("external-link"), label, partial(open_url, port.url))
            menu.addSeparator()
            clipboard = QApplication.clipboard()
            menu.addAction(icon("copy"), "Copy name", partial(clipboard.setText, one.name))
            menu.addAction(icon("copy"), "Copy id\tCtrl+C", partial(clipboard.setText, one.id))
            menu.addSeparator()
        removal = partial(self._remove, rows)
        menu.addAction(icon("trash-2", "err"), "Remove…\tDelete", removal)
        return menu

    def _open_tab(self, one: Container, name: str) -> None:
        self.view.choose(one.id)
        self._inspector.tabs.choose(name)
        if self.panes.single:
            self.open_inspector()

    def _choose_order(self) -> None:
        menu = QMenu(self)
        for key, label in _SORTS.items():
            glyph = icon("check") if key == self._sort else icon("minus", "raised")
            menu.addAction(glyph, label, partial(self._order, key))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self._sorter.mapToGlobal(QPoint(0, self._sorter.height() + 2)))

    def _order(self, key: str) -> None:
        self._sort = key
        self._sorter.relabel(_SORTS[key])
        self.refresh()


def _sensible(name: str, row: Row) -> bool:
    """Whether an action makes sense for a container in its state."""
    one = row.container
    if name == "start":
        return not one.running or one.state is State.PAUSED
    if name == "resume":
        return one.state is State.PAUSED
    if name == "pause":
        return one.state is State.RUNNING
    return one.running
