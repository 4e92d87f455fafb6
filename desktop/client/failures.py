"""Exceptions of docker-py and the socket as sentences: what failed, why, what to do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from desktop.failure import Failure

_PORT = re.compile(r"Bind for [^:]*:(\d+) failed: port is already allocated")


@dataclass(frozen=True)
class Problem:
    """What the window says about an operation that did not work. `raw` is the engine's own text."""

    what: str
    why: str
    hint: str = ""
    raw: str = ""
    status: int = 0

    @property
    def report(self) -> str:
        """Everything, for the clipboard."""
        return "\n".join(part for part in (self.what, self.why, self.hint, self.raw) if part)


def explain(what: str, error: BaseException) -> Problem:
    """Say why `what` failed; any exception will do."""
    if isinstance(error, Failure):
        return Problem(error.what.rstrip(".") or what, error.why, error.hint, str(error))
    status = int(getattr(error, "status_code", 0) or 0)
    response = getattr(error, "response", None)
    if response is not None and getattr(response, "status_code", None):
        status = int(response.status_code)
    message = str(getattr(error, "explanation", "") or error)
    message = _json_message(message)
    if status == 0 and _is_connection(error):
        return Problem(
            what,
            "The engine does not answer.",
            "It may be starting or stopped; the Start page says which.",
            repr(error),
        )
    return Problem(what, _sentence(message), _hint(message, status), message, status)


def _json_message(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return str(value.get("message", text)) if isinstance(value, dict) else text


def _is_connection(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(
        names & {"ConnectionError", "OSError", "Timeout", "ProtocolError", "DockerException"}
    )


def _sentence(message: str) -> str:
    text = message.strip() or "The engine gave no reason."
    text = re.sub(r"^Error response from daemon: ", "", text)
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?", "…")) else text + "."


def _hint(message: str, status: int) -> str:
    port = _PORT.search(message)
    if port:
        return f"Stop what uses port {port.group(1)}, or publish on another port."
    lower = message.lower()
    if "being used by running container" in lower or "volume is in use" in lower:
        return "Stop and remove the containers that use it first."
    if "must be forced" in lower or "is using its referenced image" in lower:
        return "Remove the containers that use it first."
    if "no such host" in lower or "name resolution" in lower or "connection refused" in lower:
        return "Check the registry's name and this computer's network, then try again."
    if status == 401 or "unauthorized" in lower or "denied" in lower:
        return "Check the name, or sign in with docker login, then try again."
    if "no space left" in lower:
        return "Free space on the Images page, or grow the disk on the Resources page."
    if "manifest" in lower or "pull access" in lower or "repository does not exist" in lower:
        return "Check the name and the tag."
    if status == 404:
        return "It may be gone already; the list is read again."
    return ""
