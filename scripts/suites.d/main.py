"""Runs the clients' own tests against an engine; see scripts/suites."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

import compose
import docker_py
import dockerode
import world
from results import Results

SUITES = ("docker-py", "compose", "dockerode")


def asked() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/suites")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--cache", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--socket", type=Path, help="of an engine that runs already")
    parser.add_argument("--dockerode", type=Path, help="a checkout with node_modules")
    own, words = sys.argv[1:], []
    if "--" in own:
        place = own.index("--")
        own, words = own[:place], own[place + 1 :]
    found = parser.parse_args(own)
    found.words = words
    if unknown := set(found.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))} (there are: {', '.join(SUITES)})")
    return found


def chosen(options: argparse.Namespace) -> list[str]:
    """Of the suites that were named (or all), those that can run here; says why not."""
    missing = {}
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        missing["compose"] = "docker has no compose plugin here"
    if options.dockerode is None:
        missing["dockerode"] = "give a checkout of it with --dockerode FOLDER"
    for name, why in missing.items():
        print(f"{name} left out: {why}")
    return [name for name in options.suites or SUITES if name not in missing]


def run(name: str, socket: Path, options: argparse.Namespace) -> bool:
    """Run one suite and report; whether nothing unexpected failed."""
    results: Results
    if name == "docker-py":
        results = docker_py.run(socket, options.cache, options.words)
        return results.report(docker_py.KNOWN)
    if name == "compose":
        return compose.run(socket).report({})
    return dockerode.run(socket, options.dockerode.resolve()).report(dockerode.KNOWN)


def main() -> int:
    """0 when only known failures came."""
    options = asked()
    names = chosen(options)
    with contextlib.ExitStack() as stack:
        socket = options.socket
        if socket is None:
            stack.enter_context(world.registry())
            socket = stack.enter_context(world.engine())
        good = []
        for name in names:
            if options.socket is None:
                world.provide(socket)
            good.append(run(name, socket, options))
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
