"""A pull from a real registry, seen in its row."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop.ui.application import Parts
from desktop.ui.images.delegate import ImageRow
from desktop.ui.images.page import ImagesPage
from tests.support.archives import docker_archive
from tests.support.native import NativeEngine

LAYERS, MEGABYTES = 3, 4


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a `docker-registry` with an empty store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}"}}\nlog: {{level: error}}\n'
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_pull_shows_its_layers_and_becomes_an_image(
    parts: Parts, engine: NativeEngine, registry: str, qtbot: QtBot
) -> None:
    reference = f"{registry}/gui-pull:1"
    engine.docker("load", "-q", input=docker_archive(reference, LAYERS, MEGABYTES))
    engine.docker("push", "-q", reference)
    engine.docker("rmi", reference)
    parts.window.go("images")
    page = parts.window.page("images")
    assert isinstance(page, ImagesPage)
    layers: set[str] = set()
    shares: list[float] = []

    def changed(key: str) -> None:
        row = page.pulls.rows.get(key)
        if row is not None:
            layers.update(layer.id for layer in row.progress.layers)
            shares.append(row.progress.fraction)

    page.pulls.changed.connect(changed)
    with qtbot.waitSignal(page.pulls.pulled, timeout=30_000) as pulled:
        page.pull(reference)
        assert page.model.row_of(f"pull:{reference}") == 0
    assert pulled.args == [reference]
    assert len(layers) == LAYERS and max(shares) == 1.0

    def here() -> ImageRow | None:
        rows = (row for row in page.model.items if isinstance(row, ImageRow))
        return next((row for row in rows if row.image.reference == reference), None)

    qtbot.waitUntil(lambda: here() is not None, timeout=10_000)
    row = here()
    assert row is not None and row.image.size >= LAYERS * MEGABYTES << 20
    assert page.model.row_of(f"pull:{reference}") < 0
    # Its removal says what it frees.
    page.view.choose(row.key)
    page.act("remove")
    assert "Frees" in parts.window.toast.accessibleName()
    parts.session.finish_removal()
    qtbot.waitUntil(lambda: here() is None and not parts.session.busy, timeout=10_000)
