"""The process document that `crun exec` reads, from a container's config and an exec request."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.runtime import capabilities
from engine.runtime.users import User


def merge_environment(base: Sequence[str], more: Sequence[str]) -> list[str]:
    """`base` with `more` on top: a later NAME=value replaces, a bare NAME removes."""
    merged: dict[str, str] = {}
    for entry in (*base, *more):
        name, equals, _ = entry.partition("=")
        if equals:
            merged[name] = entry
        else:
            merged.pop(name, None)
    return list(merged.values())


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
    container = spec["process"]
    who = dict(container["user"])
    base = [entry for entry in container["env"] if user is None or not entry.startswith("HOME=")]
    if user is not None:
        who = oci_user(user)
        base.append(f"HOME={user.home}")
    if terminal and not any(entry.startswith("TERM=") for entry in base):
        base.append("TERM=xterm")
    names = tuple(container["capabilities"]["bounding"])
    found: dict[str, Any] = {
        "terminal": terminal,
        "user": who,
        "args": list(args),
        "env": merge_environment(base, env),
        "cwd": cwd or container["cwd"],
        "capabilities": capabilities.to_oci(capabilities.ALL if privileged else names, who["uid"]),
        "noNewPrivileges": container.get("noNewPrivileges", False),
    }
    if console_size:
        found["consoleSize"] = {"height": console_size[0], "width": console_size[1]}
    for key in ("rlimits", "oomScoreAdj"):
        if key in container:
            found[key] = container[key]
    return found


def oci_user(user: User) -> dict[str, Any]:
    """The `user` of an OCI process."""
    found: dict[str, Any] = {"uid": user.uid, "gid": user.gid}
    # the primary group is listed too, as Docker does: programs look it up in both places
    groups = list(dict.fromkeys((user.gid, *user.groups)))
    found["additionalGids"] = groups
    return found
