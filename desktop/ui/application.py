"""Puts the window together: application, theme, session, machine; one window per COVE_HOME."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtNetwork import QLocalServer, QLocalSocket
from PySide6.QtWidgets import QApplication

from desktop.client.engine import Engine
from desktop.paths import Home
from desktop.ui.bridge import Bridge
from desktop.ui.layout import Layout
from desktop.ui.machine import Machine
from desktop.ui.main_window import MainWindow
from desktop.ui.session import Session
from desktop.ui.theme import fonts
from desktop.ui.theme.current import theme
from desktop.ui.theme.style import Style

_RAISE_TIMEOUT_MS = 500


def prepare(app: QApplication, scheme: str = "") -> None:
    """Style, fonts and colours of the application."""
    app.setApplicationName("Cove")
    app.setDesktopFileName("cove")
    app.setStyle(Style())
    fonts.install(app)
    theme.follow(app)
    if scheme:
        theme.use(scheme)
    app.setWindowIcon(_window_icon())


def _window_icon() -> QIcon:
    from desktop.ui.widgets.sidebar import draw_logo

    pixmap = QPixmap(128, 128)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw_logo(painter, QRectF(8, 8, 112, 112))
    painter.end()
    return QIcon(pixmap)


class Parts:
    """One window with all that belongs to it; tests and screenshots build it too."""

    def __init__(self, home: Home | None, socket: str, layout_file: Path | None) -> None:
        self.bridge = Bridge()
        self.machine = Machine(self.bridge, home)
        self.session = Session(self.bridge, Engine(socket))
        self.layout = Layout(layout_file)
        self.window = MainWindow(self.session, self.machine, self.layout)

    def open(self, *, start: bool) -> None:
        """Begin to follow engine and agent; with `start`, start the machine."""
        self.session.open()
        self.machine.open(start=start)

    def close(self) -> None:
        """End everything, carrying out a removal that waits."""
        self.window.close()
        self.session.close()
        self.bridge.close()
        self.session.engine.close()


def _raise_first(name: str) -> bool:
    """Ask a window that is there already to come to the front; False when there is none."""
    socket = QLocalSocket()
    socket.connectToServer(name)
    if not socket.waitForConnected(_RAISE_TIMEOUT_MS):
        return False
    socket.write(b"raise\n")
    socket.waitForBytesWritten(_RAISE_TIMEOUT_MS)
    socket.disconnectFromServer()
    return True


def _listen(name: str, window: MainWindow) -> QLocalServer:
    QLocalServer.removeServer(name)
    server = QLocalServer(window)
    server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)

    def asked() -> None:
        connection = server.nextPendingConnection()
        if connection is not None:
            connection.close()
        window.setWindowState(window.windowState())
        window.showNormal() if window.isMinimized() else window.show()
        window.raise_()
        window.activateWindow()

    server.newConnection.connect(asked)
    server.listen(name)
    return server


def run(home: Home, socket: str, *, start: bool, scheme: str = "", page: str = "") -> int:
    """Show the window until it is closed; returns the exit code.

    With `socket` the window attaches to that engine and leaves the agent alone.
    """
    # QtWebEngine is loaded when an extension opens; this has to be said before.
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
    app = QApplication(sys.argv[:1])
    name = "" if socket else str(home.run / "window.sock")
    if name:
        home.create()
        if _raise_first(name):
            return 0
    prepare(app, scheme)
    target = socket or str(home.docker_socket)
    parts = Parts(None if socket else home, target, home.path / "window.json")
    if name:
        _listen(name, parts.window)
    if page:
        parts.window.go(page)
    parts.window.show()
    # After the first paint: what follows imports docker-py and starts threads.
    QTimer.singleShot(0, lambda: parts.open(start=start))
    # Python runs the handlers between two turns of the loop; the clock of the window wakes it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: app.quit())
    code = app.exec()
    parts.close()
    return code
