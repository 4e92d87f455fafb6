"""The window's entry point: arguments, and a clear sentence when there is no display."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from desktop.failure import Failure
from desktop.paths import Home

_PAGES = ("containers", "images", "volumes", "networks", "extensions", "resources", "start")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the window; returns the exit code: 1 without a display or a usable COVE_HOME."""
    parser = argparse.ArgumentParser("cove app", description="Open Cove's window.")
    parser.add_argument("--socket", default="", help="attach to this engine socket, not to Cove's")
    parser.add_argument("--no-start", action="store_true", help="don't start the VM")
    parser.add_argument("--scheme", choices=("light", "dark"), default="", help="colour scheme")
    parser.add_argument("--page", choices=_PAGES, default="", help="the page to begin with")
    # `cove app` calls without arguments: its own are not the window's.
    args = parser.parse_args(argv or [])
    if missing := _missing_display():
        print(missing, file=sys.stderr)
        return 1
    try:
        from desktop.ui import application

        home = Home.from_environment()
        return application.run(
            home, args.socket, start=not args.no_start, scheme=args.scheme, page=args.page
        )
    except ImportError as error:
        print(
            f"Cove's window can't open.\nA library is missing: {error}.\n"
            "Run scripts/run once, which installs what it needs; `cove start` works without it.",
            file=sys.stderr,
        )
        return 1
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.exit_code


def _missing_display() -> str:
    """A sentence when this session has no display to draw on, else nothing."""
    if sys.platform == "darwin" or os.environ.get("QT_QPA_PLATFORM"):
        return ""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return ""
    return (
        "Cove's window can't open.\n"
        "There is no display: neither DISPLAY nor WAYLAND_DISPLAY is set.\n"
        "Start it from a graphical session, or use `cove start`, which needs no window."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
