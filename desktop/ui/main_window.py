"""The window: sidebar, pages, keys, toast. It knows which page is on screen and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QStackedWidget, QWidget

from desktop.agent.client import State
from desktop.client import operations, words
from desktop.client.rows import Container
from desktop.ui.containers.page import ContainersPage
from desktop.ui.layout import Layout
from desktop.ui.machine import Machine, problem_of
from desktop.ui.palette import Command, Palette, of_container, of_image
from desktop.ui.session import UNDO_SECONDS, Session
from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.list_page import ListPage
from desktop.ui.widgets.sidebar import CardWords, Entry, Sidebar
from desktop.ui.widgets.toast import Toast

RAIL_BELOW = 1020
DEFAULT_SIZE = (1240, 800)

# key, label, icon; the order gives Ctrl+1, Ctrl+2, ...
PAGES = (
    ("containers", "Containers", "box"),
    ("images", "Images", "layers"),
    ("volumes", "Volumes", "database"),
    ("networks", "Networks", "network"),
    ("extensions", "Extensions", "puzzle"),
    ("resources", "Resources", "sliders-horizontal"),
    ("start", "Start", "power"),
)
_WORDS = {
    State.STOPPED: ("stopped", "Not running"),
    State.PREPARING: ("starting", "Starting"),
    State.BOOTING: ("starting", "Starting"),
    State.WAITING: ("starting", "Starting"),
    State.RUNNING: ("running", "Running"),
    State.PAUSING: ("paused", "Pausing"),
    State.PAUSED: ("paused", "Paused"),
    State.STOPPING: ("starting", "Stopping"),
    State.FAILED: ("notrunning", "Not running"),
}


class MainWindow(QMainWindow):
    """Builds pages when they are first shown, so that the first paint does not wait for them."""

    def __init__(self, session: Session, machine: Machine, layout: Layout) -> None:
        super().__init__()
        self.session, self.machine, self._layout = session, machine, layout
        self.pages: dict[str, QWidget] = {}
        self.current = ""
        self.setWindowTitle("Cove")
        self.setMinimumSize(760, 480)
        paint_surface(self, "window")
        entries = [
            Entry(key, label, icon, f"Ctrl+{number}")
            for number, (key, label, icon) in enumerate(PAGES, start=1)
        ]
        self.sidebar = Sidebar(entries[:5], entries[5:6])
        self._stack = QStackedWidget()
        root = QWidget()
        row = QHBoxLayout(root)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        row.addWidget(self._stack, 1)
        self.setCentralWidget(root)
        self.toast = Toast(self)
        self.toast.undone.connect(self._undo)
        self.toast.ended.connect(session.finish_removal)
        self.sidebar.chosen.connect(self.go)
        self.sidebar.machine_asked.connect(lambda: self.go("start"))
        session.removal_waits.connect(self._removal_waits)
        for signal in (
            session.containers_changed,
            session.images_changed,
            session.volumes_changed,
            session.networks_changed,
        ):
            signal.connect(self._counts)
        session.samples_changed.connect(lambda _ids: self._card())
        session.reachable_changed.connect(self._card)
        machine.changed.connect(self._machine_changed)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._card)
        self._clock.start()
        self._shortcuts()
        self.resize(*(layout.integers("window") or DEFAULT_SIZE)[:2])
        # An attached window has its engine already; else the machine says where to begin.
        self.go("containers" if machine.attached else "start")
        self._was_running = machine.attached
        self._card()

    # -- pages -----------------------------------------------------------------------------

    def page(self, key: str) -> QWidget:
        """A page, built when it is first asked for."""
        found = self.pages.get(key)
        if found is None:
            found = self._build(key)
            self.pages[key] = found
            self._stack.addWidget(found)
        return found

    def _build(self, key: str) -> QWidget:
        session, layout = self.session, self._layout
        if key == "containers":
            return ContainersPage(session, layout)
        if key == "images":
            from desktop.ui.images.page import ImagesPage

            images = ImagesPage(session, layout)
            images.run_asked.connect(self._run_image)
            images.container_asked.connect(self._show_container)
            return images
        if key == "volumes":
            from desktop.ui.volumes.page import VolumesPage

            return VolumesPage(session, layout)
        if key == "networks":
            from desktop.ui.networks.page import NetworksPage

            return NetworksPage(session, layout)
        if key == "resources":
            from desktop.ui.resources.page import ResourcesPage

            return ResourcesPage(self.machine, session)
        if key == "extensions":
            from desktop.ui.extensions.page import ExtensionsPage

            return ExtensionsPage(self.machine.home)
        from desktop.ui.start.page import StartPage

        return StartPage(self.machine, session, layout)

    def go(self, key: str) -> None:
        """Show a page."""
        widget = self.page(key)
        self.current = key
        self._stack.setCurrentWidget(widget)
        self.sidebar.show_page(key)
        self._fit()
        if isinstance(widget, ListPage):
            widget.view.setFocus()

    def list_page(self) -> ListPage | None:
        """The list page on screen, if it is one."""
        widget = self._stack.currentWidget()
        return widget if isinstance(widget, ListPage) else None

    def _run_image(self, reference: str) -> None:
        page = self.page("containers")
        assert isinstance(page, ContainersPage)
        self.go("containers")
        page.run_image(reference)

    def _show_container(self, name: str) -> None:
        self.go("containers")
        page = self.page("containers")
        row = next((one for one in self.session.containers if one.name == name), None)
        if row is not None and isinstance(page, ContainersPage):
            page.filter.clear()
            page.view.choose(row.id)

    # -- keys ------------------------------------------------------------------------------

    def _shortcuts(self) -> None:
        def bind(keys: str, action: Callable[[], object]) -> None:
            QShortcut(QKeySequence(keys), self).activated.connect(action)

        for number, (key, _, _) in enumerate(PAGES, start=1):
            bind(f"Ctrl+{number}", partial(self.go, key))
        bind("Ctrl+,", lambda: self.go("resources"))
        bind("Ctrl+F", self._find)
        bind("Ctrl+K", self.open_palette)
        for keys, name in (("Ctrl+R", "restart"), ("Ctrl+.", "stop"), ("Ctrl+L", "logs")):
            bind(keys, partial(self._act, name))
        bind("Ctrl+I", lambda: self._act("inspect"))
        bind("Ctrl+N", self._new)
        bind("Ctrl+Z", self._undo)
        bind("Ctrl+Tab", lambda: self._tab(1))
        bind("Ctrl+Shift+Tab", lambda: self._tab(-1))
        bind("Ctrl+Alt+I", self._toggle_inspector)
        bind("F6", lambda: self._pane(1))
        bind("Shift+F6", lambda: self._pane(-1))
        bind("Ctrl+G", lambda: self._match(1))
        bind("Ctrl+Shift+G", lambda: self._match(-1))
        bind("Ctrl+W", self.close)
        bind("Ctrl+Q", self.close)

    def open_palette(self) -> Palette:
        """Show the command palette over the window."""
        palette = Palette(self, self._commands())
        palette.open()
        palette.field.setFocus()
        return palette

    def _commands(self) -> list[Command]:
        session = self.session
        pages = [
            Command(
                f"go:{key}", label, "Page", glyph, "Go to", f"Ctrl+{number}",
                run=partial(self.go, key),
            )
            for number, (key, label, glyph) in enumerate(PAGES, start=1)
        ]  # fmt: skip
        new = [
            Command("new:run", "Run a container…", "", "plus", "New", run=partial(self._make, 0)),
            Command(
                "new:pull", "Pull an image…", "", "download", "New", run=partial(self._make, 1)
            ),
            Command("new:volume", "New volume…", "", "database", "New", run=partial(self._make, 2)),
            Command("new:net", "New network…", "", "network", "New", run=partial(self._make, 3)),
        ]
        containers = [
            command
            for one in sorted(session.containers, key=lambda c: (not c.running, c.name))
            for command in of_container(one, self._container_act)
        ]
        images = [of_image(one, self._run_image) for one in session.images if not one.dangling]
        return [*containers, *images, *new, *pages]

    def _make(self, number: int) -> None:
        self.go(PAGES[number][0])
        page = self.list_page()
        if page is not None:
            page.make_new()

    def _container_act(self, one: Container, verb: str) -> None:
        if verb == "show":
            self._show_container(one.name)
        else:
            self.session.perform(getattr(operations, verb)(one))

    def _act(self, name: str) -> None:
        page = self.list_page()
        if page is not None:
            page.act(name)

    def _new(self) -> None:
        page = self.list_page()
        if page is not None:
            page.make_new()

    def _tab(self, by: int) -> None:
        page = self.list_page()
        if page is not None:
            page.step_tab(by)

    def _match(self, by: int) -> None:
        page = self.list_page()
        if isinstance(page, ContainersPage):
            page.step_match(by)

    def _toggle_inspector(self) -> None:
        page = self.list_page()
        if page is not None:
            page.panes.toggle_inspector()

    def _find(self) -> None:
        """Search in the inspector when the focus is there, else filter the list."""
        page = self.list_page()
        if page is None:
            return
        focus = QApplication.focusWidget()
        inside = focus is not None and page.panes.inspector.isAncestorOf(focus)
        if (inside or page.panes.full) and page.focus_search():
            return
        page.filter.setFocus()
        page.filter.selectAll()

    def _pane(self, by: int) -> None:
        """Move the focus between sidebar, list and inspector."""
        stops: list[QWidget] = [self.sidebar.entries.get(self.current, self.sidebar.card)]
        page = self.list_page()
        if page is not None:
            if page.panes.list_pane.isVisible():
                stops.append(page.view)
            if page.panes.inspector.isVisible():
                stops.append(page.first_of_inspector())
        else:
            stops.append(self._stack.currentWidget() or self)
        focus = QApplication.focusWidget()
        now = 0
        if page is not None and focus is not None:
            if page.panes.list_pane.isAncestorOf(focus):
                now = 1
            elif page.panes.inspector.isAncestorOf(focus):
                now = len(stops) - 1
        stops[(now + by) % len(stops)].setFocus()

    # -- what happens ----------------------------------------------------------------------

    def _removal_waits(self, title: str, detail: str) -> None:
        self.toast.tell(title, detail, UNDO_SECONDS)

    def _undo(self) -> None:
        if self.session.undo_removal():
            self.toast.dismiss()

    def _counts(self) -> None:
        session = self.session
        hidden = session.hidden
        entries = self.sidebar.entries
        running = sum(one.running and one.id not in hidden for one in session.containers)
        for key, noun, count in (
            ("containers", "container", running),
            ("images", "image", len(session.images)),
            ("volumes", "volume", len(session.volumes)),
            ("networks", "network", len(session.networks)),
        ):
            entries[key].set_count(count if noun in session.loaded else None)
        self._card()

    def _machine_changed(self) -> None:
        running = self.machine.running
        if running and not self._was_running:
            self.session.poke()
            if self.current == "start":
                QTimer.singleShot(350, self._leave_start)
        if self.machine.status.state is State.FAILED and self._was_running:
            self.go("start")
        self._was_running = running
        self._card()

    def _leave_start(self) -> None:
        if self.current == "start" and self.machine.running:
            self.go("containers")

    def _card(self) -> None:
        status = self.machine.status
        mark, head = _WORDS[status.state]
        session = self.session
        if not self.machine.known:
            self.sidebar.card.tell(CardWords("starting", "Looking", detail="Asking the agent"))
            return
        if status.state is not State.RUNNING:
            problem = problem_of(status)
            done = sum(one.state == "done" for one in status.requirements)
            total = len(status.requirements)
            detail = problem.what if problem and status.state is State.FAILED else ""
            if status.state.moving and total:
                detail = f"Step {min(done + 1, total)} of {total}"
            self.sidebar.card.tell(CardWords(mark, head, detail=detail))
            return
        facts = session.facts
        if not session.reachable or facts is None:
            note = "The engine does not answer" if session.silent_since else "Connecting"
            self.sidebar.card.tell(CardWords("starting", "Engine", detail=note))
            return
        since = status.started_at
        note = f"Up {words.uptime(time.time() - since)}" if since else facts.version
        latest = [history[-1] for history in session.samples.values() if history]
        self.sidebar.card.tell(
            CardWords(
                mark,
                head,
                note,
                cpu=sum(one.cpu for one in latest),
                cores=facts.cpus,
                memory=float(sum(one.memory for one in latest)),
                memory_total=float(facts.memory),
            )
        )

    # -- geometry --------------------------------------------------------------------------

    def _fit(self) -> None:
        width = self.width()
        self.sidebar.set_rail(width < RAIL_BELOW)
        page = self.list_page()
        if page is not None:
            page.fit(width)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()
        self.toast.place()

    def event(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.WindowActivate:
            self.session.reload(("container",))
        return super().event(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._layout.remember("window", [self.width(), self.height()])
        self._layout.save()
        event.accept()
