"""dockerode's own tests, from a checkout: its package comes without them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from results import Results

_HUB = "needs what only Docker Hub has"
KNOWN = {
    "#container #checkpoints": "checkpoints are experimental in dockerd, too",
    "#container #resize should resize tty": "asks for the size of a terminal that isn't there",
    "#docker #searchImages": _HUB,
    "#docker #testTimeout": _HUB,
    "#docker #buildImage should build image with buildKit": "BuildKit's own API is another one",
    "#followProgress": "BuildKit's own API is another one",
    "#plugin": "this engine has no managed plugins",
    "#swarm": "this engine is of one machine: it has no swarm mode",
}


def run(socket: Path, checkout: Path) -> Results:
    """Run mocha in a checkout where `npm install` was run."""
    done = subprocess.run(
        ["node", "node_modules/mocha/bin/mocha.js", "-R", "json", "--exit"],
        cwd=checkout,
        env={**os.environ, "DOCKER_SOCKET": str(socket), "DOCKER_HOST": f"unix://{socket}"},
        capture_output=True,
        text=True,
    )
    # tests print what containers say before the document
    start = done.stdout.rfind('\n{\n  "stats"')
    try:
        told = json.loads(done.stdout[start:] if start >= 0 else done.stdout)
    except ValueError as error:
        raise RuntimeError(f"mocha did not run in {checkout}: {done.stderr[-2000:]}") from error
    return Results(
        "dockerode",
        passed=[one["fullTitle"] for one in told["passes"]],
        failed=[one["fullTitle"] for one in told["failures"]],
        left_out=[one["fullTitle"] for one in told["pending"]],
    )
