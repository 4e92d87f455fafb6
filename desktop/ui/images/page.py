"""The Images page: what takes space, what can go; pulls as rows."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Signal
from PySide6.QtWidgets import QApplication, QMenu, QVBoxLayout, QWidget

from desktop.client import operations, words
from desktop.ui.images.delegate import Delegate, Head, ImageRow
from desktop.ui.images.inspector import Inspector
from desktop.ui.images.pulls import PullRow, Pulls, PullState
from desktop.ui.layout import Layout
from desktop.ui.session import Session
from desktop.ui.theme.icons import icon
from desktop.ui.widgets.buttons import PRIMARY, Button
from desktop.ui.widgets.choices import Choice, Segments
from desktop.ui.widgets.list_page import ListPage
from desktop.ui.widgets.sheet import ask, ask_text

_USUAL = ("nginx:alpine", "postgres:17", "redis:alpine", "python:3.13-slim", "alpine:latest")


class ImagesPage(ListPage):
    """Images with size, use and age."""

    key, title, icon_name = "images", "Images", "layers"
    noun, plural = "image", "images"
    run_asked = Signal(str)
    container_asked = Signal(str)

    def __init__(self, session: Session, layout: Layout) -> None:
        self._order = "size"
        self._inspector = Inspector(session)
        super().__init__(session, layout, self._inspector, _describe, _tip)
        self.pulls = Pulls(session)
        self.view.setItemDelegate(Delegate(self.view))
        pull = Button("Pull…", PRIMARY, "download")
        pull.setToolTip("Pull an image (Ctrl+N)")
        pull.clicked.connect(self.make_new)
        self.toolbar.addWidget(pull)
        self.segments = Segments([Choice("all", "All")], "Which images")
        self.segments.chosen.connect(lambda _k: self.refresh())
        self.choices.addWidget(self.segments)
        self.choices.addStretch()
        self._free = Button("Free up…", small=True)
        self._free.clicked.connect(self.free_up)
        self.choices.addWidget(self._free)
        self._head = Head()
        self._head.sorted_by.connect(self._sort)
        outer = self.panes.list_pane.layout()
        assert isinstance(outer, QVBoxLayout)
        outer.insertWidget(outer.indexOf(self.states), self._head)
        self.view.acted.connect(self._acted)
        self._inspector.asked.connect(self.act)
        self._inspector.back.connect(self.close_inspector)
        self._inspector.container_asked.connect(self.container_asked)
        self.pulls.changed.connect(self._pull_changed)
        self.pulls.pulled.connect(self._pulled)
        session.images_changed.connect(self.refresh)
        session.busy_changed.connect(self.refresh)
        session.reachable_changed.connect(self.refresh)
        self.refresh()

    # -- rows ------------------------------------------------------------------------------

    def image_rows(self) -> list[ImageRow]:
        """Every image that is not about to be removed."""
        session = self.session
        rows = []
        for image in session.images:
            if image.key in session.hidden:
                continue
            busy, problem = session.busy.get(image.key), session.problems.get(image.key)
            rows.append(
                ImageRow(
                    image,
                    busy.verb if busy else "",
                    problem.why if problem else "",
                    not session.reachable,
                )
            )
        return rows

    def refresh(self) -> None:
        rows = self.image_rows()
        unused = [row for row in rows if not row.image.used_by]
        dangling = [row for row in rows if row.image.dangling]
        self.segments.set_items(
            [
                Choice("all", "All", len(rows)),
                Choice("used", "In use", len(rows) - len(unused)),
                Choice("unused", "Unused", len(unused)),
                *([Choice("dangling", "Dangling", len(dangling))] if dangling else []),
            ]
        )
        chosen = {
            "all": rows,
            "used": [row for row in rows if row.image.used_by],
            "unused": unused,
            "dangling": dangling,
        }[self.segments.current]
        needle = self.filter.text().lower().split()
        shown = [
            row
            for row in chosen
            if all(w in f"{row.image.reference} {row.image.id} {row.use}".lower() for w in needle)
        ]
        shown.sort(key=self._place)
        pulls = sorted(self.pulls.rows.values(), key=lambda row: row.reference)
        self.model.set_items([*pulls, *shown])
        busy = {row.key for row in rows if row.busy}
        busy |= {row.key for row in pulls if row.state is PullState.RUNNING}
        self.view.spin(busy)
        self.keep_selection()
        self.tell_state(len(rows), "image")
        self._head.setVisible(bool(len(self.model.items)))
        self._tell_sizes(rows, unused)
        self._show_selected()

    def _place(self, row: ImageRow) -> tuple[object, ...]:
        image = row.image
        if self._order == "name":
            return (image.dangling, image.reference.lower())
        if self._order == "age":
            return (-image.created, image.reference)
        return (-image.size, image.reference)

    def _tell_sizes(self, rows: list[ImageRow], unused: list[ImageRow]) -> None:
        used = {row.image.id for row in rows if row.image.used_by}
        sizes = {row.image.id: row.image.size for row in rows}
        total = sum(sizes.values())
        idle = sum(size for id, size in sizes.items() if id not in used)
        self.footer.left.setText(f"{words.size(total)} of images")
        self.footer.right.setText(f"{words.size(idle)} unused" if idle else "all in use")
        self._free.setVisible(bool(unused) and self.session.reachable)

    def _sort(self, order: str) -> None:
        self._order = order
        self.refresh()

    def _pull_changed(self, key: str) -> None:
        if self.model.row_of(key) >= 0 and key in self.pulls.rows:
            self.model.set_items([self.pulls.rows.get(item.key, item) for item in self.model.items])
            rows = self.view.chosen()
            if rows and rows[0].key == key:
                self._show_selected()
            if self.pulls.rows[key].state is not PullState.RUNNING:
                self.refresh()
        else:
            self.refresh()

    def _pulled(self, reference: str) -> None:
        self._kept = next(
            (row.key for row in self.image_rows() if row.image.reference == reference), self._kept
        )

    def empty_words(self) -> None:
        self.empty.tell(
            "layers",
            "No images yet",
            "Pull one here; docker run pulls what it needs by itself.",
            [("Pull an image…", "download", self.make_new)],
            f"docker pull {_USUAL[0]}",
        )

    # -- selection -------------------------------------------------------------------------

    def selection_moved(self) -> None:
        self._show_selected()

    def _show_selected(self) -> None:
        rows = self.view.chosen()
        self._inspector.show_row(rows[0] if len(rows) == 1 else None)

    def inspecting(self, full: bool) -> None:
        self._inspector.simple.header.show_back(full)
        self._inspector.pull.header.show_back(full)

    def focus_search(self) -> bool:
        return self._inspector.simple.focus_search()

    def step_tab(self, by: int) -> None:
        self._inspector.simple.tabs.step(by)

    def show_tab(self, name: str) -> None:
        self._inspector.simple.tabs.choose(name)

    def first_of_inspector(self) -> QWidget:
        return self._inspector.simple.tabs

    # -- actions ---------------------------------------------------------------------------

    def _acted(self, key: str, part: str) -> None:
        if part in ("cancel", "retry", "dismiss"):
            getattr(self.pulls, part)(key)
            return
        self.view.choose(key)
        if part == "more":
            self.context_menu(key, self.cursor().pos())
        else:
            self.act(part)

    def act(self, name: str) -> None:
        rows = self.view.chosen()
        if not rows or not self.session.reachable:
            return
        first = rows[0]
        if isinstance(first, PullRow):
            if name in ("cancel", "retry"):
                getattr(self.pulls, name)(first.key)
            elif name == "remove":
                self.pulls.cancel(first.key)
                self.pulls.dismiss(first.key)
            return
        if name == "run":
            image = first.image
            self.run_asked.emit(image.id if image.dangling else image.reference)
        elif name == "remove":
            self._remove([row for row in rows if isinstance(row, ImageRow)])
        elif name == "inspect":
            self.show_tab("inspect")
        elif name == "copy":
            QApplication.clipboard().setText("\n".join(row.image.id for row in rows))

    def _remove(self, rows: list[ImageRow]) -> None:
        tags: dict[str, int] = {}
        for one in self.session.images:
            tags[one.id] = tags.get(one.id, 0) + 1
        for row in rows:
            image = row.image
            if image.used_by and tags.get(image.id, 1) < 2:
                users = words.listed(image.used_by)
                self.banner.tell(
                    "warn",
                    "triangle-alert",
                    f"{image.reference} is in use",
                    f"It is the image of {users}. Remove the containers first.",
                    closable=True,
                )
                return
        made = [operations.remove_image(row.image) for row in rows]
        names = words.listed([row.image.reference for row in rows])
        self.session.remove_later(made, f"Removed {names}", _freed(rows, tags))

    def free_up(self) -> None:
        """Ask, then remove every image that no container uses."""
        rows = [row for row in self.image_rows() if not row.image.used_by]
        sizes = {row.image.id: row.image.size for row in rows}
        total = words.size(sum(sizes.values()))
        names = words.listed([row.image.reference for row in rows], 5)
        made = [operations.remove_image(row.image) for row in rows]

        def go() -> None:
            for operation in made:
                self.session.perform(operation)

        ask(
            self,
            "trash-2",
            f"Remove {words.count(len(rows), 'unused image')}?",
            f"{names}. They can be pulled again. Layers that other images share stay.",
            f"Remove, free up to {total}",
            go,
        )

    def make_new(self) -> None:
        sheet = ask_text(
            self,
            "download",
            "Pull an image",
            "A name as docker pull takes it; without a tag it is latest. "
            "Sign in with docker login where the registry asks for it.",
            "nginx:alpine",
            "Pull",
            self.pull,
        )
        sheet.setAccessibleName("Pull an image")

    def pull(self, reference: str) -> None:
        """Pull and show its progress."""
        key = self.pulls.start(reference)
        self.view.choose(key)

    def context_menu(self, key: str, place: QPoint) -> None:
        self.view.choose(key)
        row = next((one for one in self.model.items if one.key == key), None)
        menu = QMenu(self)
        if isinstance(row, ImageRow):
            image = row.image
            clipboard = QApplication.clipboard()
            menu.addAction(icon("play"), "Run…", lambda: self.act("run"))
            menu.addAction(
                icon("download"), "Pull again", lambda: self.pull(image.reference)
            ).setEnabled(not image.dangling)
            menu.addSeparator()
            menu.addAction(icon("copy"), "Copy name", lambda: clipboard.setText(image.reference))
            menu.addAction(icon("copy"), "Copy id", lambda: clipboard.setText(image.id))
            menu.addAction(icon("braces"), "Inspect\tCtrl+I", lambda: self.act("inspect"))
            menu.addSeparator()
            menu.addAction(icon("trash-2", "err"), "Remove\tDelete", lambda: self.act("remove"))
        elif isinstance(row, PullRow):
            running = row.state is PullState.RUNNING
            word, action = ("Cancel", "cancel") if running else ("Retry", "retry")
            menu.addAction(icon("x" if running else "rotate-cw"), word, lambda: self.act(action))
            if not running:
                menu.addAction(icon("x"), "Take off the list", lambda: self.pulls.dismiss(key))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)


def _freed(rows: list[ImageRow], tags: dict[str, int]) -> str:
    """What removing these rows frees, in a sentence."""
    going: dict[str, int] = {}
    for row in rows:
        going[row.image.id] = going.get(row.image.id, 0) + 1
    last = {row.image.id: row.image for row in rows if going[row.image.id] == tags[row.image.id]}
    if not last:
        return "Only the name goes; the image has other tags."
    unique = [one.unique for one in last.values()]
    if all(size >= 0 for size in unique):
        return f"Frees {words.size(sum(unique))}."
    return f"Frees up to {words.size(sum(one.size for one in last.values()))}."


def _describe(row: ImageRow | PullRow) -> str:
    if isinstance(row, PullRow):
        return f"Pulling {row.reference}, {row.sentence()}"
    return row.sentence()


def _tip(row: ImageRow | PullRow) -> str:
    if isinstance(row, PullRow):
        return f"{row.reference}\n{row.sentence()}"
    image = row.image
    lines = [image.reference, f"{words.size(image.size)}, made {words.moment(image.created)}"]
    if image.used_by:
        lines.append(f"Used by {words.listed(image.used_by, 6)}")
    if row.problem:
        lines.append(row.problem)
    return "\n".join(lines)
