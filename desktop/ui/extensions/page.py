"""The Extensions page: what is installed, and one extension in its slot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QFileSystemWatcher, QPoint, QRectF, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QPainter, QShowEvent
from PySide6.QtWidgets import QApplication, QMenu, QVBoxLayout, QWidget

from desktop.client import words
from desktop.client.failures import Problem
from desktop.extensions.manifest import Broken, Extension, installed
from desktop.paths import Home
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, paint_surface
from desktop.ui.theme.icons import icon
from desktop.ui.theme.paint import RIGHT, rounded, text, text_width
from desktop.ui.widgets.buttons import PLAIN, QUIET, Button, IconButton
from desktop.ui.widgets.fields import Label
from desktop.ui.widgets.header import Header
from desktop.ui.widgets.keyed import KeyedModel
from desktop.ui.widgets.panes import Hairline, Stack, bar, column
from desktop.ui.widgets.rows import RowDelegate, RowList, RowState
from desktop.ui.widgets.states import Banner, EmptyState

_TONES = ("info", "plum", "cyan", "ok", "warn")


@dataclass(frozen=True)
class Row:
    """An installed extension, or a folder that is none."""

    entry: Extension | Broken

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.entry.key

    @property
    def title(self) -> str:
        """What it is called."""
        entry = self.entry
        return entry.title if isinstance(entry, Extension) else entry.folder.name

    @property
    def second(self) -> str:
        """Publisher, version and description, or what is wrong."""
        entry = self.entry
        if isinstance(entry, Broken):
            return f"{entry.why} {entry.hint}"
        start = ", ".join(part for part in (entry.publisher, entry.version) if part)
        return f"{start}. {entry.description}" if entry.description else start


class Delegate(RowDelegate):
    """A tile with the icon, the title, a second line, and Open."""

    def height(self, item: Any) -> int:
        return 60

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        row: Row = item
        c = colors()
        broken = isinstance(row.entry, Broken)
        tone = "err" if broken else _TONES[sum(map(ord, row.key)) % len(_TONES)]
        tile = QRectF(rect.x() + 20, rect.center().y() - 17, 34, 34)
        rounded(painter, tile, 8, getattr(c, f"{tone}_soft"))
        name = "circle-alert" if broken else _icon(row.entry)
        icons.draw(painter, name, getattr(c, tone), tile.x() + 8, tile.y() + 8, 18)
        places = self.parts(rect, row, state)
        right = places[0][1].x() - 12
        area = QRectF(tile.right() + 14, rect.y() + 11, right - tile.right() - 14, 19)
        text(painter, area, row.title, c.text, weight=500)
        below = area.translated(0, 19)
        text(painter, below, row.second, c.err if broken else c.text2, size=12)
        for part, place in places:
            if part == "more":
                self.action_icons(painter, [(part, place)], {"more": "ellipsis"}, state)
                continue
            fill = c.hover if part == state.part else c.raised
            rounded(painter, place, 7, fill, c.line2)
            label = {"open": "Open", "copy": "Copy error"}[part]
            inner = place.adjusted(0, 0, -(place.width() - text_width(label, 13, 500)) / 2, 0)
            text(painter, inner, label, c.text, weight=500, align=RIGHT)

    def parts(self, rect: QRectF, item: Any, state: RowState) -> list[tuple[str, QRectF]]:
        edge, y = rect.right() - 20, rect.center().y()
        name, width = ("copy", 92.0) if isinstance(item.entry, Broken) else ("open", 60.0)
        return [
            (name, QRectF(edge - 34 - width, y - 13, width, 26)),
            ("more", QRectF(edge - 26, y - 13, 26, 26)),
        ]

    def part_tip(self, item: Any, part: str) -> str:
        tips = {"open": "Open (Return)", "copy": "Copy what is wrong", "more": "More actions"}
        return tips.get(part, "")


def _icon(entry: Extension | Broken) -> str:
    name = entry.icon if isinstance(entry, Extension) else ""
    return name if name and icons.exists(name) else "puzzle"


class Slot(QWidget):
    """An open extension: a header that says what it may do, and its page."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._sandbox: Any = None
        self.extension: Extension | None = None
        outer = column(self)
        self.header = Header()
        self.header.show_back(True)
        self.header.back.connect(self.closed)
        self.header.add(Label("No network, no files outside its folder", "text2", 12))
        reload = IconButton("refresh-cw", "Load again")
        reload.clicked.connect(self._reload)
        folder = IconButton("folder", "Open its folder")
        folder.clicked.connect(self._open_folder)
        self.header.add(reload)
        self.header.add(folder)
        outer.addWidget(self.header)
        self._banner = Banner()
        outer.addWidget(self._banner)
        self._hold = QVBoxLayout()
        outer.addLayout(self._hold, 1)

    def open(self, extension: Extension) -> None:
        """Show an extension. Chromium starts here, not before."""
        self.leave()
        self.extension = extension
        self.header.title.tell(extension.title, suffix=f"  {extension.version}")
        self._banner.hide()
        try:
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                # Chromium's own sandbox refuses to run as root; Qt's checks above it stay.
                os.environ.setdefault("QTWEBENGINE_DISABLE_SANDBOX", "1")
            from desktop.ui.extensions.sandbox import Sandbox, register_scheme

            register_scheme()
            self._sandbox = Sandbox(extension)
        except (ImportError, RuntimeError) as error:
            self._banner.tell_problem(
                Problem(
                    f"{extension.title} can't be shown",
                    "QtWebEngine could not be loaded.",
                    "Run scripts/run once; it installs what the web engine needs.",
                    str(error),
                )
            )
            return
        self._sandbox.loadFinished.connect(self._loaded)
        self._hold.addWidget(self._sandbox)

    def leave(self) -> None:
        """Close the page that is open."""
        if self._sandbox is not None:
            self._hold.removeWidget(self._sandbox)
            self._sandbox.hide()
            self._sandbox.shut()
            self._sandbox = None
        self.extension = None

    def _loaded(self, fine: bool) -> None:
        if self._sandbox is None:
            return
        blocked = self._sandbox.guard.blocked
        if not fine and self.extension is not None:
            self._banner.tell_problem(
                Problem(
                    f"{self.extension.title} did not load",
                    f"Its page {self.extension.page.name} could not be read.",
                    "Look at the files in its folder, then load it again.",
                    "\n".join(blocked),
                )
            )
        elif blocked:
            head = f"{words.count(len(blocked), 'request')} to the network blocked"
            self._banner.tell(
                "warn", "shield", head, "An extension shows what is in its folder only.",
                raw="\n".join(blocked), closable=True,
            )  # fmt: skip

    def _reload(self) -> None:
        if self.extension is not None:
            self.open(self.extension)

    def _open_folder(self) -> None:
        if self.extension is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.extension.folder)))


class ExtensionsPage(QWidget):
    """The list, or one extension."""

    def __init__(self, home: Home | None) -> None:
        super().__init__()
        self._folder = (home or Home.from_environment()).extensions
        self.model = KeyedModel(lambda row: f"{row.title}, {row.second}", lambda row: row.second)
        paint_surface(self, "inset")
        self.stack = Stack()
        self.stack.put("list", self._list())
        self.slot = Slot()
        paint_surface(self.slot, "window")
        self.slot.closed.connect(self.close_slot)
        self.stack.put("slot", self.slot)
        column(self).addWidget(self.stack)
        self._watcher = QFileSystemWatcher(self)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(200)
        self._soon.timeout.connect(self.refresh)
        self._watcher.directoryChanged.connect(lambda _p: self._soon.start())
        self.refresh()

    def _list(self) -> QWidget:
        page = QWidget()
        outer = column(page)
        strip, layout = bar(51)
        paint_surface(strip, "window")
        layout.addWidget(Label("Extensions", "text", 15, 600))
        self._count = Label("", "text3", 12)
        layout.addWidget(self._count)
        layout.addStretch()
        again = Button("Look again", QUIET, "refresh-cw")
        again.clicked.connect(self.refresh)
        folder = Button("Open folder", PLAIN, "folder")
        folder.clicked.connect(self._open_folder)
        layout.addWidget(again)
        layout.addWidget(folder)
        outer.addWidget(strip)
        outer.addWidget(Hairline())
        self.view = RowList(self.model, "Extensions")
        self.view.setItemDelegate(Delegate(self.view))
        self.view.setSelectionMode(RowList.SelectionMode.SingleSelection)
        self.view.acted.connect(self._acted)
        self.view.opened.connect(self.open)
        self.view.menu_asked.connect(self._menu)
        self._states = Stack()
        self._empty = EmptyState()
        self._states.put("list", self.view)
        self._states.put("empty", self._empty)
        outer.addSpacing(8)
        outer.addWidget(self._states, 1)
        paint_surface(page, "window")
        return page

    def showEvent(self, event: QShowEvent) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        entries = installed(self._folder)
        self.model.set_items([Row(entry) for entry in entries])
        self._count.setText(words.count(len(entries), "installed", "installed") if entries else "")
        if entries:
            self._states.turn("list")
        else:
            self._empty.tell(
                "puzzle",
                "No extensions yet",
                f"An extension is a folder in {self._folder} with extension.json and a page.",
                [("Open folder", "folder", self._open_folder)],
                f"cp -r examples/extensions/hello {self._folder}/",
            )
            self._states.turn("empty")
        watched = set(self._watcher.directories())
        wanted = [str(self._folder), *(str(entry.folder) for entry in entries)]
        new = [path for path in wanted if path not in watched and os.path.isdir(path)]
        if new:
            self._watcher.addPaths(new)

    def open(self, key: str) -> None:
        """Show an extension in its slot."""
        row = next((one for one in self.model.items if one.key == key), None)
        if row is None:
            return
        if isinstance(row.entry, Broken):
            return
        self.stack.turn("slot")
        self.slot.open(row.entry)

    def close_slot(self) -> None:
        """Back to the list; the page ends."""
        self.slot.leave()
        self.stack.turn("list")
        self.view.setFocus()

    def keyPressEvent(self, event: Any) -> None:
        if event.key() == Qt.Key.Key_Escape and self.slot.extension is not None:
            self.close_slot()
        else:
            super().keyPressEvent(event)

    def _acted(self, key: str, part: str) -> None:
        self.view.choose(key)
        if part == "open":
            self.open(key)
        elif part == "copy":
            self._copy(key)
        else:
            self._menu(key, self.cursor().pos())

    def _copy(self, key: str) -> None:
        row = next((one for one in self.model.items if one.key == key), None)
        if row is not None and isinstance(row.entry, Broken):
            entry = row.entry
            lines = [f"{entry.folder}: {entry.why}", entry.hint, entry.raw]
            QApplication.clipboard().setText("\n".join(line for line in lines if line))

    def _menu(self, key: str, place: QPoint) -> None:
        menu = QMenu(self)
        row = next((one for one in self.model.items if one.key == key), None)
        if row is not None and isinstance(row.entry, Extension):
            menu.addAction(icon("external-link"), "Open", partial(self.open, key))
        elif row is not None:
            menu.addAction(icon("copy"), "Copy error", partial(self._copy, key))
        url = QUrl.fromLocalFile(key)
        menu.addAction(icon("folder"), "Open its folder", partial(QDesktopServices.openUrl, url))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)

    def _open_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder)))
        self.refresh()
