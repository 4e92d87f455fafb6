"""The Resources page: how much of this computer Cove may use, and what Apply will do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QRectF, QTimer
from PySide6.QtGui import QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from desktop import settings
from desktop.agent.client import State
from desktop.client import words
from desktop.client.failures import Problem
from desktop.ui.machine import Machine
from desktop.ui.resources.slider import Mark, Slider
from desktop.ui.session import Session
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, paint_surface
from desktop.ui.theme.paint import chip, rounded, text, text_width
from desktop.ui.widgets.buttons import PRIMARY, QUIET, Button
from desktop.ui.widgets.fields import Field, Label
from desktop.ui.widgets.panes import Hairline, bar, column
from desktop.ui.widgets.states import Banner

GIB = 1 << 30
_MEMORY_STEP, _DISK_STEP = 0.25, 1.0


@dataclass(frozen=True)
class Wanted:
    """The three numbers: whole CPUs, GiB of memory, GiB of disk."""

    cpus: float
    memory: float
    disk: float

    @classmethod
    def of(cls, record: dict[str, Any]) -> Wanted:
        """From the settings' record. Raises SettingsError."""
        memory = settings.parse_size_mib(record["memory"], "memory") / 1024
        disk = settings.parse_size_mib(record["disk"], "disk") / 1024
        return cls(float(record["cpus"]), memory, disk)

    def changes(self, before: Wanted) -> dict[str, Any]:
        """What differs, in the words of the settings file."""
        found: dict[str, Any] = {}
        if self.cpus != before.cpus:
            found["cpus"] = int(self.cpus)
        if self.memory != before.memory:
            found["memory"] = settings.format_size(int(self.memory * 1024))
        if self.disk != before.disk:
            found["disk"] = f"{int(self.disk)}G"
        return found


class _Box(QFrame):
    """A card on the inset surface."""

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 10, c.window, c.line)
        painter.end()


class _Heading(QWidget):
    """Icon, name and, when it changed, a chip."""

    def __init__(self, icon: str, name: str) -> None:
        super().__init__()
        self._icon, self._name, self.chip = icon, name, ""
        self.setFixedHeight(28)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        icons.draw(painter, self._icon, c.text2, 0, 6, 16)
        text(painter, QRectF(24, 0, 200, 28), self._name, c.text, weight=600)
        if self.chip:
            x = 24 + text_width(self._name, 13, 600) + 8
            chip(painter, x, 14, self.chip, c.warn, c.warn_soft)
        painter.end()


class Resource(QWidget):
    """One slider with its heading, number field and sentence."""

    def __init__(self, icon: str, name: str, unit: str, step: float) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.setSpacing(4)
        top = QHBoxLayout()
        self.heading = _Heading(icon, name)
        top.addWidget(self.heading)
        self.field = Field("")
        self.field.setAccessibleName(f"{name} in {unit}")
        self.field.set_note(unit)
        self.field.setFixedWidth(96)
        self.field.editingFinished.connect(self._typed)
        top.addWidget(self.field)
        layout.addLayout(top)
        self.slider = Slider(name, step)
        self.slider.moved.connect(self._show)
        self.field.escaped.connect(self._typed)
        layout.addWidget(self.slider)
        self.sentence = Label("", "text2", 12, wrap=True)
        layout.addWidget(self.sentence)

    def _show(self, value: float) -> None:
        self.field.setText(f"{value:g}")

    def _typed(self) -> None:
        try:
            wanted = float(self.field.text().replace(",", "."))
        except ValueError:
            wanted = self.slider.value
        self.slider.set_value(wanted)
        self._show(self.slider.value)

    def set_value(self, value: float) -> None:
        """Show a value without asking for it."""
        self.slider.set_value(value, tell=False)
        self._show(self.slider.value)

    def mark_changed(self, changed: bool) -> None:
        """Show that the change waits for a restart."""
        self.heading.chip = "Needs a restart" if changed else ""
        self.heading.update()


class ResourcesPage(QWidget):
    """CPU, memory, disk; nothing changes before Apply."""

    def __init__(self, machine: Machine, session: Session) -> None:
        super().__init__()
        self._machine, self._session = machine, session
        self._saved: Wanted | None = None
        self._applying: dict[str, Any] = {}
        paint_surface(self, "inset")
        outer = column(self)
        outer.addWidget(self._toolbar())
        outer.addWidget(Hairline())
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        inner = QWidget()
        paint_surface(inner, "inset")
        scroll.setWidget(inner)
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(24, 16, 24, 24)
        layout.setSpacing(12)
        self.banner = Banner()
        layout.addWidget(self.banner)
        self.cpu = Resource("cpu", "CPU", "cores", 1)
        self.memory = Resource("memory-stick", "Memory", "GiB", _MEMORY_STEP)
        self.disk = Resource("hard-drive", "Disk", "GiB", _DISK_STEP)
        box = _Box()
        inside = column(box)
        for number, resource in enumerate((self.cpu, self.memory, self.disk)):
            if number:
                inside.addWidget(Hairline())
            inside.addWidget(resource)
            resource.slider.moved.connect(lambda _v: self._tell())
        layout.addWidget(box)
        layout.addStretch()
        outer.addWidget(scroll, 1)
        self._clock = QTimer(self)
        self._clock.setInterval(2000)
        self._clock.timeout.connect(self._ranges)
        machine.changed.connect(self._machine_changed)
        machine.failed.connect(self._failed)
        self._enable()

    def _toolbar(self) -> QWidget:
        strip, layout = bar(51)
        layout.addWidget(Label("Resources", "text", 15, 600))
        layout.addStretch()
        self.note = Label("", "text2", 12)
        layout.addWidget(self.note)
        self.discard = Button("Discard", QUIET)
        self.discard.clicked.connect(self._discard)
        layout.addWidget(self.discard)
        self.apply = Button("Apply", PRIMARY)
        self.apply.clicked.connect(self._apply)
        layout.addWidget(self.apply)
        strip.setAutoFillBackground(True)
        paint_surface(strip, "window")
        return strip

    # -- values ----------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        self._clock.start()
        if self._saved is None or not self.wanted().changes(self._saved):
            self._machine.settings(self._loaded)
        self._ranges()

    def hideEvent(self, event: object) -> None:
        self._clock.stop()

    def _loaded(self, record: dict[str, Any]) -> None:
        self._saved = Wanted.of(record)
        self._ranges()
        self._discard()
        self._enable()

    def wanted(self) -> Wanted:
        """What the sliders say."""
        return Wanted(self.cpu.slider.value, self.memory.slider.value, self.disk.slider.value)

    def _discard(self) -> None:
        if self._saved is not None:
            self.cpu.set_value(self._saved.cpus)
            self.memory.set_value(self._saved.memory)
            self.disk.set_value(self._saved.disk)
        self._tell()

    def _enable(self) -> None:
        ready = self._saved is not None and not self._machine.asking
        for resource in (self.cpu, self.memory, self.disk):
            resource.setEnabled(ready)
        if self._machine.attached:
            self.banner.tell(
                "info",
                "info",
                "This window is attached to an engine that Cove did not start",
                "Its CPU, memory and disk are those of the machine that it runs on.",
            )
        self._tell()

    def _ranges(self) -> None:
        """Limits of this computer, and what is in use now."""
        limits = settings.Limits.of_host()
        saved = self._saved or Wanted(1, 1, 8)
        latest = [history[-1] for history in self._session.samples.values() if history]
        cpu = sum(one.cpu for one in latest)
        memory = sum(one.memory for one in latest) / GIB
        most = limits.memory_most_mib / 1024
        marks = [Mark(0, "0"), Mark(limits.cpus, f"{limits.cpus} on this computer")]
        if limits.cpus >= 4:
            half = limits.cpus * 2 // 3
            marks.append(Mark(half, f"{half} suggested limit"))
        self.cpu.slider.set_range(1, limits.cpus, marks, cpu)
        self.cpu.sentence.setText(f"Containers share these cores. {cpu:.1f} in use now.")
        whole = limits.memory_mib / 1024
        self.memory.slider.set_range(
            settings.MEMORY_LEAST_MIB / 1024,
            most,
            [
                Mark(0, "0"),
                Mark(most, f"{most:.0f} of {whole:.0f} GiB on this computer"),
                Mark(most / 2, f"{most / 2:.0f} suggested limit"),
            ],
            memory,
        )
        self.memory.sentence.setText(
            "A ceiling, not a reservation: unused memory goes back to the computer. "
            f"Containers use {words.size(memory * GIB)} now."
        )
        self._disk_range(saved)

    def _disk_range(self, saved: Wanted) -> None:
        home = self._machine.home
        taken, free = _disk(home.disk if home else None)
        most = max(saved.disk * 2, 256.0)
        self.disk.slider.set_range(
            saved.disk,
            most,
            [
                Mark(0, "0"),
                Mark(most, f"{most:.0f} GiB; {words.size(free)} free on this computer"),
                Mark(saved.disk, f"{saved.disk:g} now"),
            ],
            taken / GIB,
        )
        self.disk.sentence.setText(
            f"A sparse file: it takes {words.size(taken)} on this computer. "
            "It can grow; it never shrinks."
        )

    # -- applying --------------------------------------------------------------------------

    def _tell(self) -> None:
        saved = self._saved
        changes = self.wanted().changes(saved) if saved else {}
        self.cpu.mark_changed("cpus" in changes)
        self.memory.mark_changed("memory" in changes)
        self.disk.mark_changed("disk" in changes)
        restart = self._machine.status.state not in (State.STOPPED, State.FAILED)
        self.apply.relabel("Apply and restart" if restart else "Apply")
        self.apply.setEnabled(bool(changes) and not self._machine.asking)
        self.apply.setVisible(not self._machine.attached)
        self.discard.setVisible(bool(changes) and not self._machine.asking)
        if self._machine.asking == "apply":
            self.note.setText("Restarting with the new numbers…")
        elif not changes:
            self.note.setText("")
        else:
            self.note.setText(self._promise(len(changes), restart))

    def _promise(self, count: int, restart: bool) -> str:
        waits = words.count(count, "change")
        if not restart:
            return f"{waits}, in force at the next start"
        running = sum(one.running for one in self._session.containers)
        if running:
            return f"{waits}; the restart stops {words.count(running, 'container')}"
        return f"{waits} {'waits' if count == 1 else 'wait'} for a restart"

    def _apply(self) -> None:
        if self._saved is None:
            return
        self._applying = self.wanted().changes(self._saved)
        self.banner.hide()
        restart = self._machine.status.state not in (State.STOPPED, State.FAILED)
        self._machine.configure(self._applying, restart=restart)

    def _machine_changed(self) -> None:
        if self._applying and not self._machine.asking:
            told = ", ".join(f"{name} {value}" for name, value in self._applying.items())
            self._applying = {}
            self.banner.tell("ok", "circle-check", "Applied", f"Now in force: {told}.",
                             closable=True)  # fmt: skip
            self._machine.settings(self._loaded)
        self._enable()

    def _failed(self, problem: Problem) -> None:
        if self._applying:
            self._applying = {}
            self.banner.tell_problem(problem)
            self._machine.settings(self._loaded)


def _disk(file: Path | None) -> tuple[int, int]:
    """Bytes that the disk's file really takes, and those free beside it."""
    if file is None:
        return 0, 0
    try:
        taken = file.stat().st_blocks * 512
    except OSError:
        taken = 0
    folder = file.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return taken, shutil.disk_usage(folder).free
