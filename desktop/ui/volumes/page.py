"""The Volumes page: whose data, how much, who uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QPoint, QRectF
from PySide6.QtGui import QPainter, QShowEvent
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from desktop.client import operations, words
from desktop.client.rows import Volume
from desktop.ui.layout import Layout
from desktop.ui.session import Session
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors
from desktop.ui.theme.icons import icon
from desktop.ui.theme.paint import RIGHT, meter, rounded, spinner, text
from desktop.ui.widgets.buttons import PRIMARY, Button, IconButton
from desktop.ui.widgets.choices import Choice, Segments
from desktop.ui.widgets.facts import Fact, Section
from desktop.ui.widgets.list_page import ListPage
from desktop.ui.widgets.rows import RowDelegate, RowState
from desktop.ui.widgets.sheet import ask, ask_text
from desktop.ui.widgets.simple_inspector import SimpleInspector

_EDGE = 20


@dataclass(frozen=True)
class Row:
    """A volume with its size, once known, and the largest one's for the bar."""

    volume: Volume
    size: int
    largest: int
    busy: str = ""
    problem: str = ""
    stale: bool = False

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.volume.key

    @property
    def use(self) -> str:
        """Who uses it."""
        users = self.volume.used_by
        return f"Used by {words.listed(users)}" if users else "Unused"


class Delegate(RowDelegate):
    """Name and users at the left, size with a bar and the age at the right."""

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        row: Row = item
        c = colors()
        tile = QRectF(rect.x() + 18, rect.center().y() - 13, 26, 26)
        used = bool(row.volume.used_by)
        rounded(painter, tile, 7, c.info_soft if used else c.press)
        if row.busy:
            spinner(painter, tile.center(), 6, state.phase, 1.75)
        else:
            color = c.link if used else c.text3
            icons.draw(painter, "hard-drive", color, tile.x() + 6, tile.y() + 6, 14)
        right = rect.right() - _EDGE - 136
        name = QRectF(rect.x() + 54, rect.y() + 5, right - rect.x() - 62, 18)
        text(painter, name, row.volume.name, c.text3 if row.stale else c.text, weight=500)
        second, token = (row.problem, c.err) if row.problem else (row.use, c.text2)
        text(painter, name.translated(0, 18), second, token, size=12)
        places = self.parts(rect, row, state)
        if places:
            self.action_icons(painter, places, {"remove": "trash-2", "more": "ellipsis"}, state)
            return
        age = QRectF(rect.right() - _EDGE - 48, rect.y(), 48, rect.height())
        when = words.age(row.volume.created) if row.volume.created else ""
        text(painter, age, when, c.text3, size=12, align=RIGHT)
        size = QRectF(right, rect.y() + 7, 74, 18)
        text(painter, size, words.size(row.size), c.text, size=12, align=RIGHT)
        if row.size >= 0 and row.largest > 0:
            bar = QRectF(right + 10, rect.y() + 30, 64, 3)
            meter(painter, bar, row.size / row.largest)

    def parts(self, rect: QRectF, item: Any, state: RowState) -> list[tuple[str, QRectF]]:
        if not state.active or item.busy or item.stale:
            return []
        y = rect.center().y() - 13
        edge = rect.right() - _EDGE
        return [
            ("remove", QRectF(edge - 56, y, 26, 26)),
            ("more", QRectF(edge - 28, y, 26, 26)),
        ]

    def part_tip(self, item: Any, part: str) -> str:
        return {"remove": "Remove… (Delete)", "more": "More actions"}.get(part, "")


class VolumesPage(ListPage):
    """Volumes with sizes that are read when the page is shown."""

    key, title, icon_name = "volumes", "Volumes", "database"
    noun, plural = "volume", "volumes"

    def __init__(self, session: Session, layout: Layout) -> None:
        tabs = [Choice("facts", "Overview"), Choice("inspect", "Inspect")]
        self._inspector = SimpleInspector(session, "a volume", "database", tabs)
        self._inspector.put("facts", self._inspector.facts)
        self._inspector.put("inspect", self._inspector.json)
        remove = IconButton("trash-2", "Remove…", "Delete")
        self._inspector.header.add(remove)
        super().__init__(session, layout, self._inspector, _describe, _tip)
        remove.clicked.connect(lambda: self.act("remove"))
        self.view.setItemDelegate(Delegate(self.view))
        new = Button("New…", PRIMARY, "plus")
        new.setToolTip("Create a volume (Ctrl+N)")
        new.clicked.connect(self.make_new)
        self.toolbar.addWidget(new)
        self.segments = Segments([Choice("all", "All")], "Which volumes")
        self.segments.chosen.connect(lambda _k: self.refresh())
        self.choices.addWidget(self.segments)
        self.choices.addStretch()
        self.view.acted.connect(self._acted)
        self._inspector.back.connect(self.close_inspector)
        session.volumes_changed.connect(self.refresh)
        session.busy_changed.connect(self.refresh)
        session.reachable_changed.connect(self.refresh)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        self.session.read_volume_sizes()

    def refresh(self) -> None:
        session = self.session
        sizes = session.volume_sizes
        known = [v for v in session.volumes if v.key not in session.hidden]
        largest = max([sizes.get(v.name, -1) for v in known], default=0)
        rows = []
        for volume in sorted(known, key=lambda v: (not v.used_by, v.name.lower())):
            busy = session.busy.get(volume.key)
            problem = session.problems.get(volume.key)
            rows.append(
                Row(
                    volume,
                    sizes.get(volume.name, volume.size),
                    largest,
                    busy.verb if busy else "",
                    problem.why if problem else "",
                    not session.reachable,
                )
            )
        used = sum(bool(row.volume.used_by) for row in rows)
        self.segments.set_items(
            [
                Choice("all", "All", len(rows)),
                Choice("used", "In use", used),
                Choice("unused", "Unused", len(rows) - used),
            ]
        )
        chosen = {"all": rows, "used": [r for r in rows if r.volume.used_by]}
        unused = [r for r in rows if not r.volume.used_by]
        needle = self.filter.text().lower().split()
        shown = [
            row
            for row in chosen.get(self.segments.current, unused)
            if all(word in f"{row.volume.name} {row.use}".lower() for word in needle)
        ]
        self.model.set_items(shown)
        self.view.spin({row.key for row in rows if row.busy})
        self.keep_selection()
        self.tell_state(len(rows), "volume")
        total = sum(max(0, row.size) for row in rows)
        idle = sum(max(0, row.size) for row in unused)
        self.footer.left.setText(
            f"{words.size(total)} in volumes, {words.size(idle)} unused" if sizes else ""
        )
        self.footer.right.setText(words.count(len(rows), "volume"))
        self._show_selected()

    def empty_words(self) -> None:
        self.empty.tell(
            "database",
            "No volumes yet",
            "A volume keeps data when a container goes. Databases in compose files make them.",
            [("New volume…", "plus", self.make_new)],
            "docker volume create pgdata",
        )

    def selected(self) -> list[Row]:
        """The selected volumes."""
        return list(self.view.chosen())

    def selection_moved(self) -> None:
        self._show_selected()

    def _show_selected(self) -> None:
        rows = self.selected()
        if len(rows) != 1:
            self._inspector.clear()
            return
        row = rows[0]
        volume = row.volume
        self._inspector.inspect(
            volume.name, lambda: self.session.engine.inspect_volume(volume.name)
        )
        chip = "In use" if volume.used_by else "Unused"
        self._inspector.header.title.tell(
            volume.name, chip=chip, tone="ok" if volume.used_by else "info"
        )
        self._inspector.summary.set_text(f"{words.size(row.size)}, {volume.driver}")
        self._inspector.copy.set_value("Copy name", volume.name)
        created = words.moment(volume.created) if volume.created else "unknown"
        general = (
            Fact("Size", words.size(row.size)),
            Fact("Driver", volume.driver),
            Fact("Created", created),
            Fact("Path of the engine", volume.mountpoint),
        )
        users = tuple(Fact(name, "container") for name in volume.used_by)
        labels = tuple(Fact(k, v, mono=True) for k, v in sorted(volume.labels.items()))
        self._inspector.show_facts(
            [
                Section("Volume", general),
                Section("Used by", users, "No container uses it."),
                Section("Labels", labels, "No labels."),
            ]
        )

    def inspecting(self, full: bool) -> None:
        self._inspector.header.show_back(full)

    def focus_search(self) -> bool:
        return self._inspector.focus_search()

    def step_tab(self, by: int) -> None:
        self._inspector.tabs.step(by)

    def show_tab(self, name: str) -> None:
        self._inspector.tabs.choose(name)

    def first_of_inspector(self) -> QWidget:
        return self._inspector.tabs

    # -- actions ---------------------------------------------------------------------------

    def _acted(self, key: str, part: str) -> None:
        self.view.choose(key)
        if part == "remove":
            self.act("remove")
        else:
            self.context_menu(key, self.view.mapToGlobal(self.view.rect().center()))

    def act(self, name: str) -> None:
        rows = self.selected()
        if name == "inspect":
            self._inspector.tabs.choose("inspect")
        if name == "copy":
            QApplication.clipboard().setText("\n".join(row.key for row in rows))
        if name != "remove" or not rows or not self.session.reachable:
            return
        used = [row for row in rows if row.volume.used_by]
        names = words.listed([row.volume.name for row in rows])
        if used:
            users = words.listed(used[0].volume.used_by)
            self.banner.tell(
                "warn",
                "triangle-alert",
                f"{used[0].volume.name} is in use",
                f"The containers {users} use it. Remove them first; the data stays until then.",
                closable=True,
            )
            return
        freed = sum(max(0, row.size) for row in rows)
        label = f"Remove, free {words.size(freed)}" if freed else "Remove"
        sentence = "What is in it is gone for good; no container uses it now."

        def go() -> None:
            for row in rows:
                self.session.perform(
                    operations.remove_volume(row.volume), self.session.read_volume_sizes
                )

        ask(self, "trash-2", f"Remove {names} and the data?", sentence, label, go)

    def make_new(self) -> None:
        ask_text(
            self,
            "database",
            "New volume",
            "It is empty until a container writes to it.",
            "pgdata",
            "Create",
            lambda name: self.session.perform(operations.create_volume(name)),
        )

    def context_menu(self, key: str, place: QPoint) -> None:
        self.view.choose(key)
        menu = QMenu(self)
        clipboard = QApplication.clipboard()
        menu.addAction(icon("copy"), "Copy name", lambda: clipboard.setText(key))
        menu.addAction(icon("braces"), "Inspect\tCtrl+I", lambda: self.act("inspect"))
        menu.addSeparator()
        menu.addAction(icon("trash-2", "err"), "Remove…\tDelete", lambda: self.act("remove"))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)


def _describe(row: Row) -> str:
    return f"{row.volume.name}, {words.size(row.size)}, {row.use}"


def _tip(row: Row) -> str:
    created = words.moment(row.volume.created) if row.volume.created else "unknown"
    return f"{row.volume.name}\n{row.use}\nCreated {created}"
