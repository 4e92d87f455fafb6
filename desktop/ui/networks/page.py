"""The Networks page: subnets and who is on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QPoint, QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from desktop.client import operations, words
from desktop.client.rows import Network
from desktop.ui.layout import Layout
from desktop.ui.session import Session
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors
from desktop.ui.theme.icons import icon
from desktop.ui.theme.paint import RIGHT, rounded, spinner, text
from desktop.ui.widgets.buttons import PRIMARY, Button, IconButton
from desktop.ui.widgets.choices import Choice, Segments
from desktop.ui.widgets.facts import Fact, Section
from desktop.ui.widgets.list_page import ListPage
from desktop.ui.widgets.rows import RowDelegate, RowState
from desktop.ui.widgets.sheet import ask_text
from desktop.ui.widgets.simple_inspector import SimpleInspector

_EDGE = 20
_ICONS = {"host": "monitor", "none": "ban"}


@dataclass(frozen=True)
class Row:
    """A network as the list shows it."""

    network: Network
    busy: str = ""
    problem: str = ""
    stale: bool = False

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.network.key

    @property
    def second(self) -> str:
        """Driver and what is special."""
        parts = [self.network.driver]
        if self.network.name == "bridge":
            parts.append("default")
        if self.network.internal:
            parts.append("internal")
        return ", ".join(parts)


class Delegate(RowDelegate):
    """Name and driver, subnet, number of members."""

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        row: Row = item
        c = colors()
        network = row.network
        lively = bool(network.members)
        tile = QRectF(rect.x() + 18, rect.center().y() - 13, 26, 26)
        rounded(painter, tile, 7, c.info_soft if lively else c.press)
        if row.busy:
            spinner(painter, tile.center(), 6, state.phase, 1.75)
        else:
            name = _ICONS.get(network.driver, _ICONS.get(network.name, "network"))
            color = c.link if lively else c.text3
            icons.draw(painter, name, color, tile.x() + 6, tile.y() + 6, 14)
        wide = rect.width() > 380
        middle = rect.x() + rect.width() * 0.5 if wide else rect.right() - _EDGE - 40
        area = QRectF(rect.x() + 54, rect.y() + 5, middle - rect.x() - 64, 18)
        text(painter, area, network.name, c.text3 if row.stale else c.text, weight=500)
        second, token = (row.problem, c.err) if row.problem else (row.second, c.text2)
        text(painter, area.translated(0, 18), second, token, size=12)
        if wide:
            subnet = QRectF(middle, rect.y(), rect.right() - _EDGE - 76 - middle, rect.height())
            text(painter, subnet, " ".join(network.subnets) or "–", c.text2)
        places = self.parts(rect, row, state)
        if places:
            self.action_icons(painter, places, {"remove": "trash-2", "more": "ellipsis"}, state)
        else:
            edge = rect.adjusted(0, 0, -_EDGE, 0)
            text(painter, edge, str(len(network.members)), c.text, align=RIGHT)

    def parts(self, rect: QRectF, item: Any, state: RowState) -> list[tuple[str, QRectF]]:
        if not state.active or item.busy or item.stale:
            return []
        y, edge = rect.center().y() - 13, rect.right() - _EDGE
        places = [("more", QRectF(edge - 26, y, 26, 26))]
        if not item.network.predefined:
            places.insert(0, ("remove", QRectF(edge - 54, y, 26, 26)))
        return places

    def part_tip(self, item: Any, part: str) -> str:
        return {"remove": "Remove (Delete)", "more": "More actions"}.get(part, "")


class NetworksPage(ListPage):
    """Networks and their members."""

    key, title, icon_name = "networks", "Networks", "network"
    noun, plural = "network", "networks"

    def __init__(self, session: Session, layout: Layout) -> None:
        tabs = [Choice("facts", "Members"), Choice("inspect", "Inspect")]
        self._inspector = SimpleInspector(session, "a network", "network", tabs)
        self._inspector.put("facts", self._inspector.facts)
        self._inspector.put("inspect", self._inspector.json)
        self._trash = IconButton("trash-2", "Remove", "Delete")
        self._inspector.header.add(self._trash)
        super().__init__(session, layout, self._inspector, _describe, _tip)
        self._trash.clicked.connect(lambda: self.act("remove"))
        self.view.setItemDelegate(Delegate(self.view))
        new = Button("New…", PRIMARY, "plus")
        new.setToolTip("Create a network (Ctrl+N)")
        new.clicked.connect(self.make_new)
        self.toolbar.addWidget(new)
        self.segments = Segments([Choice("all", "All")], "Which networks")
        self.segments.chosen.connect(lambda _k: self.refresh())
        self.choices.addWidget(self.segments)
        self.choices.addStretch()
        self.view.acted.connect(self._acted)
        self._inspector.back.connect(self.close_inspector)
        session.networks_changed.connect(self.refresh)
        session.containers_changed.connect(self.refresh)
        session.busy_changed.connect(self.refresh)
        session.reachable_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        session = self.session
        rows = []
        order = sorted(session.networks, key=lambda n: (n.predefined, n.name.lower()))
        for network in order:
            if network.key in session.hidden:
                continue
            busy = session.busy.get(network.key)
            problem = session.problems.get(network.key)
            rows.append(
                Row(
                    network,
                    busy.verb if busy else "",
                    problem.why if problem else "",
                    not session.reachable,
                )
            )
        used = [row for row in rows if row.network.members]
        self.segments.set_items(
            [
                Choice("all", "All", len(rows)),
                Choice("used", "In use", len(used)),
            ]
        )
        needle = self.filter.text().lower().split()
        shown = [
            row
            for row in (used if self.segments.current == "used" else rows)
            if all(word in f"{row.network.name} {row.network.subnets}".lower() for word in needle)
        ]
        self.model.set_items(shown)
        self.view.spin({row.key for row in rows if row.busy})
        self.keep_selection()
        self.tell_state(len(rows), "network")
        self.footer.right.setText(words.count(len(rows), "network"))
        members = sum(len(row.network.members) for row in rows)
        self.footer.left.setText(words.count(members, "connected container"))
        self._show_selected()

    def empty_words(self) -> None:
        self.empty.tell("network", "No networks", "The engine has none, not even its own.")

    def selected(self) -> list[Row]:
        """The selected networks."""
        return list(self.view.chosen())

    def selection_moved(self) -> None:
        self._show_selected()

    def _show_selected(self) -> None:
        rows = self.selected()
        if len(rows) != 1:
            self._inspector.clear()
            return
        network = rows[0].network
        self._trash.setEnabled(not network.predefined)
        self._inspector.inspect(network.id, lambda: self.session.engine.inspect_network(network.id))
        subnet = network.subnets[0] if network.subnets else ""
        self._inspector.header.title.tell(network.name, suffix=f"  {subnet}" if subnet else "")
        self._inspector.summary.set_text(rows[0].second)
        self._inspector.copy.set_value(network.id[:12], network.id)
        count = len(network.members)
        self._inspector.tabs.set_items(
            [Choice("facts", "Members", count), Choice("inspect", "Inspect")]
        )
        members = tuple(
            Fact(one.name, one.address or "no address", note="running") for one in network.members
        )
        general = [
            Fact("Driver", network.driver),
            Fact("Subnet", ", ".join(network.subnets) or "–"),
            Fact("Gateway", ", ".join(network.gateways) or "–"),
            Fact("Internal", "yes, no way out" if network.internal else "no"),
        ]
        if network.created:
            general.append(Fact("Created", words.moment(network.created)))
        self._inspector.show_facts(
            [
                Section("Members", members, "No running container is on it."),
                Section("Network", tuple(general)),
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
        kept = [row for row in rows if row.network.predefined]
        if kept:
            self.banner.tell(
                "info", "info", f"{kept[0].network.name} belongs to the engine",
                "Every engine has it, so it can't be removed.", closable=True,
            )  # fmt: skip
            return
        used = next((row for row in rows if row.network.members), None)
        if used is not None:
            users = words.listed([one.name for one in used.network.members])
            self.banner.tell(
                "warn", "triangle-alert", f"{used.network.name} is in use",
                f"The containers {users} are on it. Stop or disconnect them first.",
                closable=True,
            )  # fmt: skip
            return
        names = words.listed([row.network.name for row in rows])
        made = [operations.remove_network(row.network) for row in rows]
        self.session.remove_later(made, f"Removed {names}", "")

    def make_new(self) -> None:
        ask_text(
            self,
            "network",
            "New network",
            "A bridge whose containers reach each other by name; the engine picks the subnet.",
            "backend",
            "Create",
            lambda name: self.session.perform(operations.create_network(name)),
        )

    def context_menu(self, key: str, place: QPoint) -> None:
        self.view.choose(key)
        rows = self.selected()
        if not rows:
            return
        network = rows[0].network
        menu = QMenu(self)
        clipboard = QApplication.clipboard()
        menu.addAction(icon("copy"), "Copy name", lambda: clipboard.setText(network.name))
        menu.addAction(icon("copy"), "Copy id", lambda: clipboard.setText(network.id))
        menu.addAction(icon("braces"), "Inspect\tCtrl+I", lambda: self.act("inspect"))
        if not network.predefined:
            menu.addSeparator()
            menu.addAction(icon("trash-2", "err"), "Remove\tDelete", lambda: self.act("remove"))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)


def _describe(row: Row) -> str:
    network = row.network
    members = words.count(len(network.members), "member")
    return f"{network.name}, {row.second}, {' '.join(network.subnets)}, {members}"


def _tip(row: Row) -> str:
    return f"{row.network.name}\n{row.second}\n{' '.join(row.network.subnets)}".strip()
