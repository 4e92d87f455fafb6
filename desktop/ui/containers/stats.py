"""The Stats tab: CPU, memory, network and disk of one container, live."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from desktop.client import words
from desktop.client.rows import Container, Sample
from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.chart import Chart
from desktop.ui.widgets.fields import Label
from desktop.ui.widgets.panes import Stack, column
from desktop.ui.widgets.states import EmptyState


class StatsPane(QWidget):
    """Four charts over the last two minutes, and the process count."""

    def __init__(self) -> None:
        super().__init__()
        outer = column(self)
        self._stack = Stack()
        outer.addWidget(self._stack)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        inner = QWidget()
        paint_surface(inner, "inset")
        scroll.setWidget(inner)
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(16, 16, 16, 16)
        layout.setSpacing(12)
        grid = QGridLayout()
        grid.setSpacing(12)
        self._cpu = Chart("CPU", "chart", words.percent, 0.05)
        self._memory = Chart("Memory", "plum", words.size, 1e6)
        self._network = Chart("Network", "ok", words.rate, 1e3)
        self._disk = Chart("Disk", "warn", words.rate, 1e3)
        for number, chart in enumerate((self._cpu, self._memory, self._network, self._disk)):
            grid.addWidget(chart, number // 2, number % 2)
        layout.addLayout(grid)
        self._foot = Label("", "text2", 12)
        layout.addWidget(self._foot)
        layout.addStretch()
        self._empty = EmptyState()
        self._stack.put("charts", scroll)
        self._stack.put("empty", self._empty)

    def tell(self, one: Container, history: Sequence[Sample], cpus: int) -> None:
        """Show the numbers of a container."""
        if not one.running:
            self._empty.tell(
                "chart-no-axes-column",
                "No numbers while it is stopped",
                "Start the container to see its CPU, memory, network and disk.",
            )
            self._stack.turn("empty")
            return
        self._stack.turn("charts")
        if not history:
            return
        last = history[-1]
        of = f"of {words.count(cpus, 'core')}" if cpus else ""
        self._cpu.tell([s.cpu for s in history], words.percent(last.cpu), of)
        limit = float(last.memory_limit)
        detail = f"of {words.size(limit)}" if limit else ""
        memory = [float(s.memory) for s in history]
        self._memory.tell(memory, words.size(last.memory), detail, limit)
        self._network.tell(
            [s.received for s in history],
            words.rate(last.received),
            f"in, {words.rate(last.sent)} out",
            second=[s.sent for s in history],
        )
        self._disk.tell(
            [s.written for s in history],
            words.rate(last.written),
            f"write, {words.rate(last.read)} read",
            second=[s.read for s in history],
        )
        self._foot.setText(words.count(last.pids, "process", "processes"))
