"""The Run sheet: image, name, ports, variables, command; pulls first when the image isn't here."""

from __future__ import annotations

import shlex

from PySide6.QtWidgets import QCheckBox, QCompleter, QWidget

from desktop.client import operations
from desktop.client.operations import RunOptions
from desktop.client.streams import split_reference
from desktop.ui.session import Session
from desktop.ui.widgets.fields import Field, Label
from desktop.ui.widgets.sheet import Sheet


class RunSheet(Sheet):
    """Asks for what `docker run` would be told, and runs it."""

    def __init__(self, parent: QWidget, session: Session, image: str = "") -> None:
        super().__init__(
            parent, "play", "Run a container", "As docker run -d does; only the image is needed.",
            "Run",
        )  # fmt: skip
        self._session = session
        self.image = Field("nginx:alpine")
        here = sorted({row.reference for row in session.images if not row.dangling})
        self.image.setCompleter(QCompleter(here, self))
        self.name = Field("chosen by the engine")
        self.ports = Field("8080:80, 5432:5432")
        self.variables = Field("KEY=value, KEY=value")
        self.command = Field("the image's own")
        self.once = QCheckBox("Remove it when it ends")
        self.form(
            [
                ("Image", self.image),
                ("Name", self.name),
                ("Ports", self.ports),
                ("Variables", self.variables),
                ("Command", self.command),
                ("", self.once),
            ]
        )
        self._note = Label("", "err", 12, wrap=True)
        self.content.addWidget(self._note)
        for field in (self.image, self.name, self.ports, self.variables, self.command):
            field.textChanged.connect(lambda _t: self._check())
            field.returnPressed.connect(self.go.click)
            field.escaped.connect(self.reject)
        self.image.setText(image)
        self.image.setFocus()
        self.accepted.connect(self._run)
        self.finished.connect(self.deleteLater)
        self._check()

    def options(self) -> RunOptions:
        """What the fields say. Raises ValueError with a sentence."""
        ports = tuple(_words(self.ports.text()))
        for text in ports:
            _check_port(text)
        variables = tuple(_words(self.variables.text()))
        for text in variables:
            if "=" not in text:
                raise ValueError(f"{text} is no variable: write KEY=value.")
        return RunOptions(
            image=":".join(split_reference(self.image.text())),
            name=self.name.text().strip(),
            command=tuple(shlex.split(self.command.text())),
            ports=ports,
            environment=variables,
            remove=self.once.isChecked(),
        )

    def _check(self) -> None:
        try:
            options = self.options()
        except ValueError as error:
            self._note.set_token("err")
            self._note.setText(str(error))
            self.go.setEnabled(False)
            return
        self.go.setEnabled(bool(self.image.text().strip()))
        here = any(row.reference == options.image for row in self._session.images)
        missing = bool(self.image.text().strip()) and not here
        self._note.set_token("text3")
        self._note.setText(f"{options.image} is not here and is pulled first." if missing else "")

    def _run(self) -> None:
        self._session.perform(operations.run(self.options()))


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


def _check_port(text: str) -> None:
    public, colon, private = text.rpartition(":")
    number, _, protocol = private.partition("/")
    if not number.isdigit() or not 0 < int(number) < 65536 or protocol not in ("", "tcp", "udp"):
        raise ValueError(f"{text} is no port: write 8080:80, or 53:53/udp.")
    if colon and (not public.isdigit() or int(public) > 65535):
        raise ValueError(f"{text} is no port: write 8080:80, or 53:53/udp.")
