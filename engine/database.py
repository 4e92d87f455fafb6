"""The engine's records: one SQLite file, one writer thread, many commits grouped into one fsync.

Stores load their records at start, keep them in memory and write through. A record that was
awaited survives `kill -9` of the engine; a durable one survives loss of power, too.
"""

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from engine.errors import EngineError
from engine.linux.reserve import Reserve
from engine.values import dataclass

Record = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""
_FORMAT = 1


class DatabaseError(EngineError):
    """The records can't be read or written; nothing that was told as done is affected."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write a record in place of the one with this kind and key."""

    kind: str
    key: str
    record: Record


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a record; one that is not there is no error."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class _Job:
    """One transaction waiting for the writer; rows are (kind, key, JSON text or None)."""

    rows: tuple[tuple[str, str, str | None], ...]
    durable: bool
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Database:
    """Records by kind and key. Life: open, load each kind, write, close."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _open(path)
        self._reserve = Reserve(path.with_name("reserve"))
        self._reserve.keep()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._synchronous = "FULL"
        self._writer = threading.Thread(target=self._run, name="database", daemon=True)
        self._writer.start()

    def load(self, kind: str) -> dict[str, Record]:
        """All records of a kind, by key, in key order. Blocks; meant for the start."""
        reader = _open(self.path)
        try:
            rows = reader.execute(
                "SELECT key, record FROM records WHERE kind = ? ORDER BY key", (kind,)
            ).fetchall()
        finally:
            reader.close()
        return {key: json.loads(record) for key, record in rows}

    async def put(self, kind: str, key: str, record: Record, durable: bool = True) -> None:
        """Write one record."""
        await self.write([Put(kind, key, record)], durable)

    async def delete(self, kind: str, key: str, durable: bool = True) -> None:
        """Remove one record."""
        await self.write([Delete(kind, key)], durable)

    async def write(self, changes: Sequence[Put | Delete], durable: bool = True) -> None:
        """Do all changes or none, in the order of the calls. Raises DatabaseError.

        The records are read before this first yields, so callers may change them afterwards.
        """
        if self._closed:
            raise DatabaseError("the engine is stopping: its records are closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Job(tuple(map(_row, changes)), durable, loop, done))
        await done  # a caller that is cancelled leaves its write to be finished

    def close(self) -> None:
        """Write what is queued, then close the file. Closing twice is safe."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._connection.close()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            batch = [job]
            last = False
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[_Job]) -> None:
        try:
            self._transaction(batch)
        except Exception as error:  # whatever it is, somebody waits for the answer
            if _is_full(error) and self._reserve.give():
                self._commit(batch)
                return
            if len(batch) > 1:
                for job in batch:  # the fault of one must not fail the others
                    self._commit([job])
                return
            message = f"can't write the engine's records in {self.path}: {error}"
            if _is_full(error):
                message += ". Free some space on that disk, then try again."
            _finish(batch, DatabaseError(message))
        else:
            _finish(batch, None)
            self._reserve.keep()

    def _transaction(self, batch: list[_Job]) -> None:
        # In WAL mode FULL syncs at each commit; NORMAL leaves it to the operating system.
        synchronous = "FULL" if any(job.durable for job in batch) else "NORMAL"
        if synchronous != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for job in batch:
                for row in job.rows:
                    self._apply(*row)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _apply(self, kind: str, key: str, text: str | None) -> None:
        if text is None:
            self._connection.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))
        else:
            self._connection.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (kind, key, text)
            )


def _is_full(error: Exception) -> bool:
    # a full disk shows as an I/O error where SQLite grows its index of the log
    return isinstance(error, sqlite3.Error) and ("full" in str(error) or "disk I/O" in str(error))


def _row(change: Put | Delete) -> tuple[str, str, str | None]:
    if isinstance(change, Delete):
        return change.kind, change.key, None
    return change.kind, change.key, json.dumps(change.record, separators=(",", ":"))


def _open(path: Path) -> sqlite3.Connection:
    try:
        # it holds the variables of containers; its log and index take the mode over
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A log that is written over in place doesn't grow, and fdatasync of a file that doesn't
            # grow leaves folders made and files renamed before it to the file system's next commit.
            connection.execute("PRAGMA journal_size_limit = 0")
            connection.execute(_SCHEMA)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(
            f"can't read the engine's records in {path}: {error}. "
            "Restore the file from a backup, or move it away to start empty."
        ) from error
    if version > _FORMAT:
        connection.close()
        raise DatabaseError(
            f"{path} was written by a newer engine (format {version}, this one knows {_FORMAT}): "
            "start that version."
        )
    return connection


def _finish(batch: list[_Job], error: DatabaseError | None) -> None:
    for loop in {job.loop for job in batch}:
        jobs = [job for job in batch if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, jobs, error)
        except RuntimeError:  # that loop has ended; nobody waits any more
            continue


def _resolve(jobs: list[_Job], error: DatabaseError | None) -> None:
    for job in jobs:
        if job.done.done():
            continue
        if error is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(error)
