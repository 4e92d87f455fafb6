#!/usr/bin/env python3
"""Try the image out: boot it, show its console with times, switch it off after a while."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from image_build.errors import BuildError  # noqa: E402
from image_build.trial import Line, booted  # noqa: E402


def show(line: Line) -> None:
    """A console line as it comes."""
    print(f"{line.at:6.2f} {line.text}", flush=True)


def main() -> int:
    """The command line: boot, wait for a line, run a command over SSH, power off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default=platform.machine())
    parser.add_argument("--data", type=Path, help="a sparse file as data disk (made if missing)")
    parser.add_argument("--share", type=Path, help="a folder for the guest")
    parser.add_argument("--words", default="", help="more words for the kernel")
    parser.add_argument("--until", default="cove: engine ok", help="power off after this line")
    parser.add_argument("--kill", action="store_true", help="end at once instead of a power-off")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--run", help="a command to run in the VM before it is switched off")
    options = parser.parse_args()
    if options.data is not None and not options.data.exists():
        with options.data.open("wb") as file:
            file.truncate(64 << 30)
    with booted(
        options.arch, data=options.data, share=options.share, words=options.words, show=show
    ) as trial:
        try:
            trial.wait_for(options.until, options.seconds)
            if options.run:
                print(trial.shell(options.run))
            if options.kill:
                return 0
            trial.wait_for_agent()
            trial.agent_without_answer("guest-shutdown")
            return trial.ended()
        except BuildError as error:
            print(error, file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
