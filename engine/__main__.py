"""The engine's command line: `python -m engine --root DIR --socket PATH`."""

import argparse
import gc
import logging
import os
import sys
from pathlib import Path

from engine.errors import EngineError
from engine.options import Options

_LEVELS = ("debug", "info", "warning", "error")


def parse(arguments: list[str]) -> Options:
    """The options that a command line asks for; exits with 2 and a sentence when it's wrong."""
    parser = argparse.ArgumentParser(
        prog="engine", description="Cove's container engine: the Docker API on a Unix socket."
    )
    add = parser.add_argument
    add("--root", type=_absolute, required=True, metavar="DIR", help="durable state")
    add("--socket", type=_absolute, required=True, metavar="PATH", help="where the API answers")
    add("--run", type=_absolute, metavar="DIR", help="volatile state (default: ROOT/run)")
    add("--group", metavar="NAME", help="group that may use the socket (default: root alone)")
    add("--runtime", default="crun", metavar="PROGRAM", help="OCI runtime (default: crun)")
    add("--log-level", choices=_LEVELS, default="info", help="how much to log on stderr")
    add("--host-link", type=_absolute, metavar="PATH", help="in the VM: socket for the host agent")
    add("--machine", type=_absolute, metavar="FILE", help="in the VM: the shared folders, JSON")
    add("--welcome", type=_absolute, metavar="FILE", help="archive of the built-in image")
    add("--hold-fd", type=int, metavar="N", help="wait for a byte on this descriptor, then start")
    chosen = parser.parse_args(arguments)
    return Options(
        root=chosen.root,
        socket=chosen.socket,
        run=chosen.run or chosen.root / "run",
        host_link=chosen.host_link,
        machine=chosen.machine,
        welcome=chosen.welcome,
        runtime=chosen.runtime,
        group=chosen.group,
        hold_fd=chosen.hold_fd,
        log_level=chosen.log_level,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the engine; the exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    gc.disable()  # nothing of the start is garbage: collecting costs a fifth of it
    from engine import daemon  # the rest of the engine: --help shouldn't pay for it

    try:
        _hold(options.hold_fd)
        lock = daemon.prepare(options)
        try:
            daemon.run(options)
        finally:
            os.close(lock)
    except EngineError as error:
        print(f"engine: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    finally:
        gc.enable()
    return 0


def _hold(descriptor: int | None) -> None:
    """Everything is imported: wait until whoever started us has the disk ready."""
    if descriptor is not None:
        os.read(descriptor, 1)
        os.close(descriptor)


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(text))


if __name__ == "__main__":
    sys.exit(main())
