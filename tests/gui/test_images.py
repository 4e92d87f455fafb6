"""The Images page on a real engine and a real registry's absence."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from desktop.ui.application import Parts
from desktop.ui.images.delegate import ImageRow
from desktop.ui.images.page import ImagesPage
from desktop.ui.images.pulls import PullRow, PullState
from tests.support.native import NativeEngine


def page_of(parts: Parts) -> ImagesPage:
    parts.window.go("images")
    page = parts.window.page("images")
    assert isinstance(page, ImagesPage)
    return page


def find(page: ImagesPage, reference: str) -> ImageRow | None:
    rows = (row for row in page.model.items if isinstance(row, ImageRow))
    return next((row for row in rows if row.image.reference == reference), None)


def test_layers_of_the_selected_image(parts: Parts, qtbot: QtBot) -> None:
    page = page_of(parts)
    found = find(page, "busybox:latest")
    assert found is not None and found.image.size > 100_000
    page.view.choose(found.key)
    layers = page._inspector.layers.model
    qtbot.waitUntil(lambda: len(layers.items) > 0, timeout=10_000)
    assert sum(row.layer.size for row in layers.items) > 100_000


def test_a_tag_is_removed_after_the_toast(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    page = page_of(parts)
    engine.docker("tag", "busybox", "gui-tag:1")
    qtbot.waitUntil(lambda: find(page, "gui-tag:1") is not None, timeout=10_000)
    row = find(page, "gui-tag:1")
    assert row is not None
    page.view.choose(row.key)
    page.act("remove")
    assert find(page, "gui-tag:1") is None
    assert "other tags" in parts.window.toast.accessibleName()
    assert "gui-tag" in engine.docker("images").stdout
    parts.session.finish_removal()
    qtbot.waitUntil(lambda: "gui-tag" not in engine.docker("images").stdout, timeout=10_000)


def test_an_image_in_use_says_by_whom(parts: Parts, engine: NativeEngine, qtbot: QtBot) -> None:
    page = page_of(parts)
    engine.docker("create", "--label", "gui", "--name", "gui-user", "busybox")

    def used() -> bool:
        row = find(page, "busybox:latest")
        return row is not None and "gui-user" in row.image.used_by

    qtbot.waitUntil(used, timeout=10_000)
    row = find(page, "busybox:latest")
    assert row is not None
    page.view.choose(row.key)
    page.act("remove")
    assert page.banner.isVisible() and "gui-user" in page.banner.accessibleName()
    assert find(page, "busybox:latest") is not None


def test_a_pull_that_fails_stays_as_a_row(parts: Parts, qtbot: QtBot) -> None:
    page = page_of(parts)
    page.pull("127.0.0.1:9/nothing:1")
    key = "pull:127.0.0.1:9/nothing:1"
    assert isinstance(page.model.items[0], PullRow)
    qtbot.waitUntil(lambda: page.pulls.rows[key].state is PullState.FAILED, timeout=20_000)
    row = page.pulls.rows[key]
    assert row.problem is not None and row.problem.raw
    page._acted(key, "retry")
    assert page.pulls.rows[key].state is PullState.RUNNING
    page._acted(key, "cancel")
    assert page.pulls.rows[key].state is PullState.CANCELLED
    page._acted(key, "dismiss")
    assert page.model.row_of(key) < 0
