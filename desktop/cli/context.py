"""The docker context `cove`: written as the docker command keeps it, never made the default."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from desktop.paths import Home

NAME = "cove"


def meta_file(config: Path) -> Path:
    """Where the docker command looks for the context: the folder is the SHA-256 of its name."""
    digest = hashlib.sha256(NAME.encode()).hexdigest()
    return config / "contexts" / "meta" / digest / "meta.json"


def docker_config() -> Path:
    """The docker command's folder (`DOCKER_CONFIG`, default `~/.docker`)."""
    given = os.environ.get("DOCKER_CONFIG", "")
    return Path(given) if given else Path.home() / ".docker"


def endpoint(config: Path) -> str:
    """The socket that the context points at now; "" without a context."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(meta_file(config).read_text(encoding="utf-8"))
        return str(record["Endpoints"]["docker"]["Host"])
    return ""


def ensure(home: Home, config: Path | None = None) -> str:
    """Make or correct the context; answers what to tell the user, once.

    A context of another instance whose socket is there stays as it is.
    """
    config = config or docker_config()
    before = endpoint(config)
    if before == home.docker_host:
        return ""
    if before and Path(before.removeprefix("unix://")).exists():
        return f"The docker context {NAME} stays with {before}; this instance is in DOCKER_HOST."
    record: dict[str, Any] = {
        "Name": NAME,
        "Metadata": {"Description": "Cove"},
        "Endpoints": {"docker": {"Host": home.docker_host, "SkipTLSVerify": False}},
    }
    path = meta_file(config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"meta.json.{os.getpid()}.new")
        scratch.write_text(json.dumps(record), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        return f"The docker context {NAME} wasn't made: {path}: {error.strerror}."
    return f"To use it in every shell: docker context use {NAME}"


def remove(home: Home, config: Path | None = None) -> None:
    """Remove the context if it points at this instance."""
    config = config or docker_config()
    if endpoint(config) == home.docker_host:
        path = meta_file(config)
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()
