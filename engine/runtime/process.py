"""The process document that `crun exec` reads, from a container's config and an exec request."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.runtime.users import User


def exec_process(
    spec: Mapping[str, Any],
    args: Sequence[str],
    *,
    env: Sequence[str] = (),
    cwd: str = "",
    user: User | None = None,
    terminal: bool = False,
    privileged: bool = False,
    console_size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """The `process` of an exec in the container that `spec` (its OCI config) describes.

    `env` is added to the container's; empty `cwd` is the container's; `user` None is its user.
    """
    raise RuntimeError
