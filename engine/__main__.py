"""The engine's command line: `python -m engine --root DIR --socket PATH`."""

import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.options import Options

_LEVELS = ("debug", "info", "warning", "error")
_CHOICES = {"--log-level": _LEVELS, "--isolation": ("standard", "enhanced")}


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(text))


# flag: what its word becomes, the word's name, help
_FLAGS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "--root": (_absolute, "DIR", "durable state"),
    "--socket": (_absolute, "PATH", "where the API answers"),
    "--run": (_absolute, "DIR", "volatile state (default: ROOT/run)"),
    "--group": (str, "NAME", "group that may use the socket (default: root alone)"),
    "--runtime": (str, "PROGRAM", "OCI runtime (default: crun)"),
    "--isolation": (str, "WORD", "of containers that don't ask for one: standard or enhanced"),
    "--max-layer-entries": (int, "N", "files a layer may hold (default: 1000000)"),
    "--max-layer-size": (int, "BYTES", "what may come out of a layer's archive (default: 1 TiB)"),
    "--log-level": (str, "LEVEL", f"how much to log on stderr: {', '.join(_LEVELS)}"),
    "--host-link": (_absolute, "PATH", "in the VM: socket for the host agent"),
    "--machine": (_absolute, "FILE", "in the VM: the shared folders, JSON"),
    "--welcome": (_absolute, "FILE", "archive of the built-in image"),
    "--hold-fd": (int, "N", "wait for a byte on this descriptor, then start"),
}


def parse(arguments: list[str]) -> Options:
    """The options that a command line asks for; exits with 2 and a sentence when it's wrong."""
    chosen = _pairs(arguments)
    if chosen is None:
        chosen = _explain(arguments)
    return Options(**{**chosen, "run": chosen.get("run") or chosen["root"] / "run"})


def _pairs(arguments: list[str]) -> dict[str, Any] | None:
    """A command line as programs write it, in pairs of a flag and its word; None for all others.

    argparse, which knows every form and explains mistakes, is a tenth of the engine's import.
    """
    chosen: dict[str, Any] = {}
    for flag, word in zip(arguments[::2], arguments[1::2], strict=False):
        convert, _, _ = _FLAGS.get(flag, (None, "", ""))
        if convert is None or word.startswith("-") or word not in _CHOICES.get(flag, (word,)):
            return None
        try:
            chosen[flag[2:].replace("-", "_")] = convert(word)
        except ValueError:
            return None
    whole = len(arguments) % 2 == 0 and {"root", "socket"} <= chosen.keys()
    return chosen if whole else None


def _explain(arguments: list[str]) -> dict[str, Any]:
    """The same by argparse; exits when there is nothing to start."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="engine", description="Cove's container engine: the Docker API on a Unix socket."
    )
    for flag, (convert, word, help) in _FLAGS.items():
        parser.add_argument(
            flag,
            type=convert,
            metavar=word,
            help=help,
            required=flag in ("--root", "--socket"),
            choices=_CHOICES.get(flag),
            default=argparse.SUPPRESS,
        )
    return dict(vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> int:
    """Run the engine; the exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    gc.disable()  # nothing of the start is garbage: collecting costs a fifth of it
    _import_asyncio()
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


def _import_asyncio() -> None:
    """asyncio as in a Python without TLS, which it would load for streams that nobody here opens.

    The registry's client imports ssl itself, with the first pull.
    """
    if "ssl" in sys.modules or "asyncio" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        import asyncio  # noqa: F401
    finally:
        del sys.modules["ssl"]


def _hold(descriptor: int | None) -> None:
    """Everything is imported: wait until whoever started us has the disk ready."""
    if descriptor is not None:
        os.read(descriptor, 1)
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
