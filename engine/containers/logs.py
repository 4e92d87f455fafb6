"""A container's log as a client asks for it."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from engine.containers.container import Container
from engine.containers.start import log_path
from engine.errors import BadRequest, Unsupported
from engine.runtime import logs
from engine.runtime.logs import LogLine
from engine.values import dataclass


@dataclass(frozen=True)
class LogOptions:
    """since and until are ns since 1970 (0: none), tail a number of lines (None: all).

    `timed` False is much faster: neighbouring lines come as one, without their times.
    """

    stdout: bool = False
    stderr: bool = False
    follow: bool = False
    since_ns: int = 0
    until_ns: int = 0
    tail: int | None = None
    timed: bool = True


def read_logs(
    container: Container, folder: Path, options: LogOptions
) -> AsyncIterator[Sequence[LogLine]]:
    """Batches of lines. Raises BadRequest, Unsupported before the first."""
    if not (options.stdout or options.stderr):
        raise BadRequest("Bad parameters: you must choose at least one stream")
    path = log_path(container.record, folder)
    if path is None:
        raise Unsupported("configured logging driver does not support reading")
    if not container.record.state.started_at and not options.follow:
        return _nothing()
    return _lines(container, path, options)


async def _lines(
    container: Container, path: Path, options: LogOptions
) -> AsyncIterator[Sequence[LogLine]]:
    async for batch in logs.read(
        path,
        stdout=options.stdout,
        stderr=options.stderr,
        since_ns=options.since_ns,
        until_ns=options.until_ns,
        tail=options.tail,
        follow=options.follow,
        ended=container.ended,
        timed=options.timed,
    ):
        yield batch


async def _nothing() -> AsyncIterator[Sequence[LogLine]]:
    yield ()
