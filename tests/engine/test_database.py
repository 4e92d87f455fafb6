"""Records: written through, grouped, kept by a crash."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from engine.database import Database, DatabaseError, Delete, Put


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


async def test_put_load_delete(database):
    await database.put("a", "x", {"n": 1})
    await database.put("a", "y", {"n": 2}, durable=False)
    await database.put("b", "x", {"n": 3})
    await database.put("a", "x", {"n": 4})
    assert database.load("a") == {"x": {"n": 4}, "y": {"n": 2}}
    await database.delete("a", "x")
    await database.delete("a", "never")
    assert database.load("a") == {"y": {"n": 2}}
    assert database.load("b") == {"x": {"n": 3}}


async def test_one_write_is_one_transaction(database):
    await database.put("k", "old", {})
    with pytest.raises(TypeError):
        await database.write([Delete("k", "old"), Put("k", "new", {"bad": object()})])
    assert list(database.load("k")) == ["old"]
    await database.write([Delete("k", "old"), Put("k", "new", {})])
    assert list(database.load("k")) == ["new"]


async def test_the_record_is_read_at_the_call(database):
    record = {"n": 1}
    writing = asyncio.ensure_future(database.put("k", "x", record))
    await asyncio.sleep(0)
    record["n"] = 2
    await writing
    assert database.load("k") == {"x": {"n": 1}}


async def test_many_writers_are_grouped_in_order(database):
    await asyncio.gather(*(database.put("k", f"{n:03}", {"n": n}) for n in range(200)))
    await asyncio.gather(*(database.put("k", "same", {"n": n}) for n in range(50)))
    records = database.load("k")
    assert len(records) == 201
    assert records["same"] == {"n": 49}


async def test_cancelled_writer_does_not_lose_the_write(database):
    task = asyncio.create_task(database.put("k", "x", {}))
    await asyncio.sleep(0)
    task.cancel()
    await database.put("k", "y", {})
    assert list(database.load("k")) == ["x", "y"]


async def test_closed(tmp_path):
    database = Database(tmp_path / "engine.db")
    database.close()
    database.close()
    with pytest.raises(DatabaseError, match="stopping"):
        await database.put("k", "x", {})


def test_what_is_no_database(tmp_path):
    path = tmp_path / "engine.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DatabaseError, match="can't read the engine's records"):
        Database(path)


def test_newer_format(tmp_path):
    with sqlite3.connect(tmp_path / "engine.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DatabaseError, match="newer engine"):
        Database(tmp_path / "engine.db")


def test_a_killed_process_keeps_what_it_promised(tmp_path):
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from engine.database import Database
async def main():
    database = Database(Path(sys.argv[1]))
    await database.put("k", "x", {"n": 1}, durable=False)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    path = tmp_path / "engine.db"
    ended = subprocess.run([sys.executable, "-c", program, path], check=False, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    database = Database(path)
    assert database.load("k") == {"x": {"n": 1}}
    database.close()


async def test_full_disk_is_told_and_nothing_is_lost(database, monkeypatch):
    await database.put("k", "x", {"n": 1})
    apply = database._apply

    def full(kind, key, text):
        if key == "big":
            raise sqlite3.OperationalError("database or disk is full")
        apply(kind, key, text)

    monkeypatch.setattr(database, "_apply", full)
    results = await asyncio.gather(
        *(database.put("k", key, {}) for key in ("a", "big", "b")), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), DatabaseError, type(None)]
    assert "Free some space" in results[1].message
    assert list(database.load("k")) == ["a", "b", "x"]


def test_nobody_else_reads_it(tmp_path):
    """Records hold the variables of containers, and people may pass through the folder."""
    (tmp_path / "engine.db").touch(0o644)
    database = Database(tmp_path / "engine.db")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("engine.db*")}
    database.close()
    assert modes == dict.fromkeys(("engine.db", "engine.db-wal", "engine.db-shm"), 0o600)
