"""Who gets enhanced isolation, and which ids: a user namespace for each container.

Asked for by `--security-opt cove.isolation=enhanced|standard`, else by the label
`dev.cove.isolation` of the request (an image's doesn't count), else as the engine is set.
`--userns=host` is standard isolation in Docker's own words.
"""

from collections.abc import Mapping
from typing import Any

from engine.containers.store import Store
from engine.errors import BadRequest, EngineError
from engine.linux.userns import SIZE

OPTION = "cove.isolation"
LABEL = "dev.cove.isolation"
ENHANCED, STANDARD = "enhanced", "standard"
# ids that neither people, services nor systemd's own ranges use; 4,094 containers' worth
FIRST, END = 0x7000_0000, 0x7FFE_0000
JOINED = -1  # instead of a range: the user namespace is that of the container it joins


def is_option(text: str) -> bool:
    """Whether a word of --security-opt is about the isolation. Raises EngineError on a bad one."""
    key, _, value = text.partition("=")
    if key != OPTION:
        return False
    if value not in (ENHANCED, STANDARD):
        raise EngineError(f'invalid --security-opt 2: "{text}": use {ENHANCED} or {STANDARD}')
    return True


def enhanced(host: Mapping[str, Any], labels: Mapping[str, str], default: str) -> bool:
    """Whether a container that is asked for so gets a user namespace. Raises BadRequest."""
    asked = _asked(host, labels)
    if host["UsernsMode"] == "host":
        if asked == ENHANCED:
            raise BadRequest(f"conflicting options: --userns=host and {OPTION}={ENHANCED}")
        return False
    if (asked or default) != ENHANCED:
        return False
    _check(host)
    return True


def _asked(host: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    for text in reversed(host.get("SecurityOpt") or ()):
        if is_option(text):
            return str(text).partition("=")[2]
    asked = labels.get(LABEL, "")
    if asked not in ("", ENHANCED, STANDARD):
        raise BadRequest(f"invalid label {LABEL}={asked}: use {ENHANCED} or {STANDARD}")
    return asked


def _check(host: Mapping[str, Any]) -> None:
    """Raises BadRequest in the words of a dockerd whose containers have user namespaces."""
    if host["Privileged"]:
        raise BadRequest(
            "privileged mode is incompatible with user namespaces.  You must run the container "
            "in the host namespace when running privileged mode"
        )
    if host["NetworkMode"] == "host":
        raise BadRequest(
            "cannot share the host's network namespace when user namespaces are enabled"
        )
    if host["PidMode"] == "host":
        raise BadRequest("cannot share the host PID namespace when user namespaces are enabled")


def joins(host: Mapping[str, Any]) -> list[str]:
    """The containers whose namespaces are joined: those of `container:NAME` modes."""
    modes = (host[key] for key in ("NetworkMode", "PidMode", "IpcMode"))
    names = (mode.partition(":")[2] for mode in modes if mode.startswith("container:"))
    return list(dict.fromkeys(names))


class Ranges:
    """Hands out ranges of ids, each to one container for as long as that exists."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._creating: dict[str, int] = {}
        self._next = FIRST

    def take(self, container_id: str) -> int:
        """The first id of a free range; those that were given back come last. Raises EngineError.

        Nobody else gets it until `settle`, and later as long as a record holds it.
        """
        taken = {one.record.id_base for one in self._store} | set(self._creating.values())
        for step in range(0, END - FIRST, SIZE):
            base = FIRST + (self._next - FIRST + step) % (END - FIRST)
            if base not in taken:
                self._creating[container_id] = base
                self._next = base + SIZE
                return base
        raise EngineError(
            f"no range of ids is left for one more container with {ENHANCED} isolation: "
            f"remove some of the {len(taken)} that have one"
        )

    def settle(self, container_id: str) -> None:
        """The container is recorded, or came to nothing. Twice is safe."""
        self._creating.pop(container_id, None)


def id_mappings(base: int) -> dict[str, list[str]]:
    """`HostConfig.IDMappings` of inspect: inside, outside, how many."""
    words = [f"0:{base}:{SIZE}"]
    return {"UidMap": words, "GidMap": list(words)}
