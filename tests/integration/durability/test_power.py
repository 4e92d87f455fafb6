"""What a machine that lost its power leaves on its disk: the engine starts and keeps its word."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


def rewrite(engine: NativeEngine, id: str, **state: Any) -> None:
    """Give a container's record another state, while no engine runs."""
    with closing(sqlite3.connect(engine.root / "engine.db")) as database, database:
        where = "WHERE kind = 'container' AND key = ?"
        (text,) = database.execute(f"SELECT record FROM records {where}", (id,)).fetchone()
        record = json.loads(text)
        record["state"] |= state
        database.execute(f"UPDATE records SET record = ? {where}", (json.dumps(record), id))


def test_a_start_that_only_began_on_disk(engine: NativeEngine) -> None:
    ids = {}
    for name in ("lost", "undone"):
        ids[name] = engine.docker("run", "-d", "--name", name, "busybox", "sleep", "99").stdout
    engine.stop(signal.SIGKILL)
    # the end of a start is not waited for on its way to the disk
    begun = {"starting": True, "status": "created", "pid": 0, "started_at": 0}
    rewrite(engine, ids["lost"].strip(), **begun, boot="an earlier one")
    rewrite(engine, ids["undone"].strip(), **begun)
    engine.start()
    shown = engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}} {{.Status}}").stdout
    states = sorted(line.split(" ")[:4] for line in shown.splitlines())
    assert states[0][:4] == ["lost", "exited", "Exited", "(137)"]
    assert states[1][:3] == ["undone", "created", "Created"]
    engine.docker("start", "lost", "undone")


def test_files_that_came_back_empty(engine: NativeEngine) -> None:
    script = "cat /etc/passwd | wc -l"
    id = engine.docker("create", "--name", "kept", "busybox", "sh", "-c", script).stdout.strip()
    engine.stop(signal.SIGKILL)
    (engine.root / "snapshots" / id / "chain").write_text("")
    (layer,) = (engine.root / "layers").glob("*/layer.json")
    layer.write_text("")
    engine.start()
    assert engine.docker("start", "-a", "kept").stdout.strip() == "1"
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", script).stdout.strip() == "1"
