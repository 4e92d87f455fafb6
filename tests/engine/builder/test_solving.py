"""Parts of the solver: shared work, ordered text, keys, states, layers, cache records."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.builder.build import _leave_out
from engine.builder.context import Context
from engine.builder.flights import Flights
from engine.builder.keys import layer_key, step_key, unique
from engine.builder.layers import seal
from engine.builder.models import step_of
from engine.builder.progress import Narrator
from engine.builder.records import Entry, Kind, Records
from engine.builder.state import State
from engine.content.digest import chain_ids, of
from engine.content.store import Store as Content
from engine.database import Database
from engine.images.model import Layer
from engine.images.records import make_image
from engine.registry.platforms import Platform

LINUX = Platform("linux", "amd64")


# ---- work that is shared ------------------------------------------------------------------------


def test_two_that_want_the_same_get_it_once() -> None:
    async def scenario() -> None:
        flights: Flights[int] = Flights()
        runs = 0

        async def work(tell: Any) -> int:
            nonlocal runs
            runs += 1
            tell("said", "early")
            await asyncio.sleep(0.02)
            tell("said", "late")
            return 7

        heard: list[list[Any]] = [[], []]
        first = asyncio.create_task(flights.run("k", work, lambda *what: heard[0].append(what)))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(flights.run("k", work, lambda *what: heard[1].append(what)))
        assert await asyncio.gather(first, second) == [7, 7]
        assert runs == 1
        assert heard == [[("said", "early"), ("said", "late")]] * 2

    asyncio.run(scenario())


def test_work_goes_on_while_anybody_waits_and_no_longer() -> None:
    async def scenario() -> None:
        flights: Flights[int] = Flights()
        ended: list[str] = []

        async def work(tell: Any) -> int:
            try:
                await asyncio.sleep(0.03)
                return 1
            finally:
                ended.append("work")

        def ignore(*what: Any) -> None:
            return None

        first = asyncio.create_task(flights.run("k", work, ignore))
        second = asyncio.create_task(flights.run("k", work, ignore))
        await asyncio.sleep(0.005)
        first.cancel()
        assert await second == 1
        third = asyncio.create_task(flights.run("k", work, ignore))
        await asyncio.sleep(0.005)
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        assert ended == ["work", "work"]

    asyncio.run(scenario())


def test_everybody_hears_of_a_failure() -> None:
    async def scenario() -> None:
        flights: Flights[int] = Flights()

        async def work(tell: Any) -> int:
            await asyncio.sleep(0.005)
            raise ValueError("no")

        waiting = [flights.run("k", work, lambda *what: None) for _ in range(2)]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(each) for each in found] == ["no", "no"]

    asyncio.run(scenario())


# ---- what the client reads ----------------------------------------------------------------------


def test_stages_that_run_side_by_side_are_told_in_order() -> None:
    lines: list[str] = []
    narrator = Narrator(lambda fields: lines.append(fields.get("stream") or "aux"), [0, 2], 4)
    first, second = narrator.stage(0, 1), narrator.stage(2, 3)
    second.step("FROM b")
    first.step("FROM a")
    second.output(1, b"two\n")
    first.output(2, b"wrong\n")
    first.end("sha256:1")
    second.output(1, b"more\n")
    second.end("sha256:2")
    assert lines == [
        "Step 1/4 : FROM a", "\n", "\x1b[91mwrong\n\x1b[0m", "aux",
        "Step 3/4 : FROM b", "\n", "two\n", "more\n", "aux",
    ]  # fmt: skip


def test_a_character_cut_in_two_is_told_whole() -> None:
    lines: list[str] = []
    log = Narrator(lambda fields: lines.append(fields["stream"]), [0], 1).stage(0, 1)
    text = "é".encode()
    log.output(1, text[:1])
    log.output(1, text[1:] + b"\xff")
    assert lines == ["é�"]


# ---- keys ---------------------------------------------------------------------------------------


def test_keys_tell_apart_what_decides() -> None:
    run = {"op": "run", "argv": ["a"], "env": []}
    keys = [
        layer_key("", run),
        layer_key("sha256:1", run),
        layer_key("sha256:1", {**run, "env": ["A=b"]}),
        layer_key("sha256:1", run, "digest"),
        step_key("sha256:1", run),
        unique(layer_key("", run)),
    ]
    assert len(set(keys)) == len(keys)
    assert layer_key("", dict(reversed(run.items()))) == layer_key("", run)
    assert layer_key("", {"name": "\udcff"})  # names of files need not be UTF-8


# ---- states -------------------------------------------------------------------------------------

LAYER = Layer("sha256:" + "1" * 64, "sha256:" + "2" * 64, "gzip", 3, 4)


def built(*steps: tuple[str, Layer | None]) -> State:
    state = State.scratch(LINUX)
    for told, layer in steps:
        chain = chain_ids([*(one.diff_id for one in state.layers), layer.diff_id]) if layer else ()
        state = state.step(
            f"key {told}", "2024-01-02T03:04:05Z", told, {"Cmd": [told]}, "me", layer,
            chain[-1] if chain else "",
        )  # fmt: skip
    return state


def test_a_state_is_the_image_that_it_would_be() -> None:
    state = built(("COPY a", LAYER), ("CMD b", None))
    image = make_image(state.image_id, state.document().decode(), state.layers)
    assert of(state.document()) == state.image_id
    assert image.config["rootfs"]["diff_ids"] == [LAYER.diff_id]
    assert image.config["author"] == "me" and image.config["architecture"] == "amd64"
    history = image.config["history"]
    assert [line.get("empty_layer", False) for line in history] == [False, True]
    assert image.run_config == {"Cmd": ["CMD b"]}
    again = State.of(image)
    assert (again.history, again.chain, again.top) == (state.history, state.chain, state.chain[0])
    assert State.scratch(LINUX).image_id == ""


def test_steps_of_a_model_image_are_found_by_its_history() -> None:
    whole = built(("COPY a", LAYER), ("CMD b", None))
    image = make_image(whole.image_id, whole.document().decode(), whole.layers)
    begun = State.scratch(LINUX)
    found = step_of(image, begun, "COPY a", "key")
    assert found is not None and found.layer == LAYER
    after = built(("COPY a", LAYER))
    config = step_of(image, after, "CMD b", "key")
    assert config is not None and config.layer is None
    assert step_of(image, begun, "COPY other", "key") is None
    assert step_of(image, begun, "CMD b", "key") is None
    assert step_of(image, built(("COPY z", LAYER)), "CMD b", "key") is None
    assert step_of(image, whole, "CMD c", "key") is None


# ---- layers -------------------------------------------------------------------------------------


def filled(folder: Path) -> Path:
    (folder / "d").mkdir(parents=True)
    (folder / "d/a").write_text("content" * 1000)
    os.link(folder / "d/a", folder / "d/b")
    (folder / "link").symlink_to("d/a")
    for path in (folder / "d/a", folder / "link", folder / "d"):
        os.utime(path, ns=(0, 1_500_000_000_000_000_000), follow_symlinks=False)
    return folder


def test_equal_folders_give_equal_layers(tmp_path: Path) -> None:
    content = Content(tmp_path / "content")
    first = seal(content, filled(tmp_path / "one"))
    assert first is not None and first == seal(content, filled(tmp_path / "two"))
    plain = content.read(first.diff_id)
    assert first.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
    assert (first.blob_size, first.size, first.entries) == (len(plain), 7000, 4)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert tar.getnames() == ["d", "d/a", "d/b", "link"]


def test_with_an_epoch_no_time_is_later(tmp_path: Path) -> None:
    content = Content(tmp_path / "content")
    (tmp_path / "new").mkdir()
    (tmp_path / "new/a").write_text("x")
    sealed = seal(content, tmp_path / "new", 1_000_000_000)
    assert sealed is not None
    assert os.stat(tmp_path / "new/a").st_mtime == 1_000_000_000
    with tarfile.open(fileobj=io.BytesIO(content.read(sealed.diff_id))) as tar:
        assert tar.getmember("a").mtime == 1_000_000_000


def test_nothing_written_is_no_layer(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert seal(Content(tmp_path / "content"), tmp_path / "empty") is None


# ---- the cache's records ------------------------------------------------------------------------


def test_records_last_and_forget_what_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "engine.db")
        records = Records(database)
        for name in ("here", "gone"):
            await records.put(
                Entry(name, Kind.LAYER, "2024-01-01T00:00:00Z", chain_id=name, blob=f"b-{name}")
            )
        await records.put(Entry("step", Kind.STEP, "2024-01-01T00:00:00Z"))
        records.touch("here", "2024-02-01T00:00:00Z")
        await records.flush(["here", "unknown"])
        database.close()
        later = Records(Database(tmp_path / "engine.db"))
        later.load(lambda chain_id, blob: chain_id == "here")
        assert {entry.key for entry in later} == {"here", "step"}
        found = later.get("here")
        assert found is not None and (found.uses, found.last_used) == (1, "2024-02-01T00:00:00Z")
        assert (later.layers(), later.blobs()) == ({"here"}, {"b-here"})
        await later.drop(["here"])
        assert later.get("here") is None and later.layers() == set()
        later._database.close()

    asyncio.run(scenario())


# ---- what the ignore file names -----------------------------------------------------------------


def test_the_ignore_file_of_a_dockerfile_is_stronger(tmp_path: Path) -> None:
    for name in ("a", "keep/x", "keep/y", "d/z", "Dockerfile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".dockerignore").write_text("a\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("keep\n!keep/x\nd\n")
    _leave_out(Context(tmp_path), "Dockerfile")
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"a", "keep/x", "Dockerfile", ".dockerignore", "Dockerfile.dockerignore"}
