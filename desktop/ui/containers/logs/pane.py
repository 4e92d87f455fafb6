"""The Logs tab: search, levels, wrap, the view and a footer; owns the log stream."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from desktop.client import words
from desktop.client.failures import explain
from desktop.client.rows import Container, LogLine
from desktop.client.streams import Logs
from desktop.ui.bridge import StreamTask
from desktop.ui.containers.logs.buffer import Buffer, Level, Line
from desktop.ui.containers.logs.view import LogView
from desktop.ui.session import Session
from desktop.ui.widgets.buttons import LINK, Button, IconButton
from desktop.ui.widgets.choices import Choice, Segments
from desktop.ui.widgets.fields import Field
from desktop.ui.widgets.panes import Footer, Hairline, Stack, bar, column
from desktop.ui.widgets.states import Banner, EmptyState

FLUSH_SECONDS = 0.1
TAIL = 5000
_LEAST = {"all": Level.NONE, "warn": Level.WARN, "error": Level.ERROR}


class LogPane(QWidget):
    """Shows the log of one container at a time; `show_container` switches."""

    escaped = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._container: Container | None = None
        self._task: StreamTask | None = None
        self._ended = False
        self.buffer = Buffer()
        self._hits: list[int] = []
        self._hit = -1
        outer = column(self)
        outer.addWidget(self._toolbar())
        outer.addWidget(Hairline())
        self._banner = Banner()
        outer.addWidget(self._banner)
        self._stack = Stack()
        self.view = LogView()
        self._empty = EmptyState()
        self._stack.put("log", self.view)
        self._stack.put("empty", self._empty)
        outer.addWidget(self._stack, 1)
        self._footer = Footer()
        outer.addWidget(self._footer)
        self._latest = Button("Latest", LINK, "arrow-down", small=True)
        self._latest.setParent(self)
        self._latest.clicked.connect(self.view.to_end)
        self._latest.hide()
        self.view.following_changed.connect(lambda _f: self._tell())
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(90)
        self._typing.timeout.connect(self._search)

    def _toolbar(self) -> QWidget:
        strip, layout = bar(44)
        self.field = Field("Search log", icon="search", keys="Ctrl+F")
        self.field.textChanged.connect(lambda _t: self._typing.start())
        self.field.returnPressed.connect(lambda: self.step(1))
        self.field.escaped.connect(self.escaped)
        layout.addWidget(self.field, 1)
        previous = IconButton("chevron-up", "Previous match", "Ctrl+Shift+G", small=True)
        previous.clicked.connect(lambda: self.step(-1))
        following = IconButton("chevron-down", "Next match", "Ctrl+G", small=True)
        following.clicked.connect(lambda: self.step(1))
        layout.addWidget(previous)
        layout.addWidget(following)
        self._levels = Segments([Choice("all", "All")], "Levels of the log")
        self._levels.chosen.connect(lambda _k: self._filter())
        layout.addWidget(self._levels)
        self._wrap = IconButton("text-wrap", "Wrap long lines")
        self._wrap.setCheckable(True)
        self._wrap.setChecked(True)
        self._wrap.toggled.connect(lambda on: self.view.set_wrap(on))
        layout.addWidget(self._wrap)
        save = IconButton("download", "Save the log…")
        save.clicked.connect(self._save)
        layout.addWidget(save)
        return strip

    # -- the stream ------------------------------------------------------------------------

    def show_container(self, one: Container | None) -> None:
        """Follow another container; the same one goes on unless its log ended and it runs again."""
        same = one is not None and self._container is not None and one.id == self._container.id
        restarted = same and self._ended and one is not None and one.running
        self._container = one
        if same and not restarted:
            self._tell()
            return
        since = self.buffer.lines[-1].time if restarted and self.buffer.lines else 0.0
        self.stop()
        if not restarted:
            self.buffer.clear()
            self._hits, self._hit = [], -1
            self.view.following = True
            self.view.show_lines([])
            self._banner.hide()
        if one is not None:
            self._open(one, since)
        self._tell()

    def _open(self, one: Container, since: float) -> None:
        self._ended = False
        engine = self._session.engine
        bridge = self._session.bridge
        expected = one.id

        def terminal() -> bool:
            return bool((engine.inspect_container(expected).get("Config") or {}).get("Tty"))

        def begin(tty: bool) -> None:
            if self._container is None or self._container.id != expected:
                return
            start = since + 0.000001 if since else 0.0
            source = Logs(engine, expected, tty=tty, tail=TAIL, since=start)
            self._task = bridge.stream(source, self._arrived, self._end, interval=FLUSH_SECONDS)

        self._asked = bridge.call(terminal, begin, self._refused)

    def stop(self) -> None:
        """End the stream; what is shown stays."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _arrived(self, batches: list[list[LogLine]]) -> None:
        new, gone = self.buffer.add([line for batch in batches for line in batch])
        if self._levels.current == "all":
            self.view.append(new, gone)
        else:
            self._filter()
        if self.field.text():
            self._typing.start()
        self._tell()

    def _end(self, error: BaseException | None) -> None:
        self._task = None
        self._ended = True
        if error is not None:
            self._refused(error)
        self._tell()

    def _refused(self, error: BaseException) -> None:
        problem = explain("The log is not readable", error)
        self._ended = True
        if problem.status != 404 and self._session.reachable:
            self._banner.tell_problem(problem)
        self._tell()

    # -- what is shown ---------------------------------------------------------------------

    def _filter(self) -> None:
        least = _LEAST[self._levels.current]
        lines: list[Line] = self.buffer.lines
        if least is not Level.NONE:
            lines = [line for line in lines if line.level >= least]
        self.view.show_lines(lines)
        self._search()

    def _search(self) -> None:
        self._hits = self.view.search(self.field.text())
        self._hit = len(self._hits) - 1
        self._note()

    def step(self, by: int) -> None:
        """Go to the next or previous match."""
        if self._typing.isActive():
            self._typing.stop()
            self._search()
        if self._hits:
            self._hit = (self._hit + by) % len(self._hits)
            self.view.reveal(self._hits[self._hit])
        self._note()

    def _note(self) -> None:
        if not self.field.text():
            self.field.set_note("")
        elif not self._hits:
            self.field.set_note("no match")
        else:
            self.field.set_note(f"{self._hit + 1} of {len(self._hits):,}")

    def _tell(self) -> None:
        one = self._container
        buffer = self.buffer
        choices = [Choice("all", "All")]
        choices.append(Choice("warn", "Warn", buffer.warnings))
        choices.append(Choice("error", "Error", buffer.errors, alarm=True))
        self._levels.set_items(choices if self.width() > 480 else choices[:1])
        empty = not buffer.lines and (self._ended or one is None or self._task is not None)
        if empty and one is not None:
            self._empty.tell("scroll-text", "Nothing written yet", _silence(one))
        self._stack.turn("empty" if empty else "log")
        if self._ended:
            state = "The log ends here"
        elif self.view.following:
            state = "Following"
        else:
            state = words.count(self.view.unseen, "new line") + " below"
        self._footer.left.setText(f"{state} · stdout and stderr, local time")
        self._footer.right.setText(words.count(len(buffer.lines) + buffer.dropped, "line"))
        away = not self.view.following and not empty
        self._latest.setVisible(away)
        if away:
            new = self.view.unseen
            self._latest.relabel(words.count(new, "new line") if new else "Latest")
            self._place_latest()

    def _place_latest(self) -> None:
        size = self._latest.sizeHint()
        self._latest.resize(size)
        right = self.width() - size.width() - 100
        self._latest.move(right, self.height() - size.height() - 3)

    def resizeEvent(self, event: object) -> None:
        self._tell()

    def _save(self) -> None:
        name = self._container.name if self._container else "log"
        target, _ = QFileDialog.getSaveFileName(self, "Save the log", f"{name}.log")
        if not target:
            return
        text = "\n".join(f"{line.clock} {line.text}" for line in self.buffer.lines)
        try:
            Path(target).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            self._banner.tell_problem(explain("The log was not saved", error))


def _silence(one: Container) -> str:
    if one.running:
        return "Lines appear here as soon as the container writes to stdout or stderr."
    return "The container ended without a line on stdout or stderr."
