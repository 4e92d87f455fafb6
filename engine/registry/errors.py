"""What a registry refuses, in the words that dockerd passes on."""

import json
from typing import Any

from engine.errors import EngineError, NotFound

_MESSAGES = {
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "TOOMANYREQUESTS": "too many requests",
}
_BY_STATUS = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 429: "TOOMANYREQUESTS"}


class RegistryError(EngineError):
    """A registry's refusal: its code (`MANIFEST_UNKNOWN`), HTTP status and message."""

    def __init__(self, code: str, message: str, http_status: int) -> None:
        super().__init__(f"{code.lower().replace('_', ' ')}: {message}")
        self.code = code
        self.http_status = http_status


class Unreachable(EngineError):
    """No answer from the registry: names the address and the cause."""


class NotFoundThere(NotFound):
    """The registry doesn't have it (or doesn't show it)."""


def from_response(status: int, body: bytes, challenge: str, retry_after: str) -> RegistryError:
    """The error of an answer with status 400 or above."""
    if 'error="insufficient_scope"' in challenge:
        return RegistryError("DENIED", _MESSAGES["DENIED"], status)
    code, message = _BY_STATUS.get(status, "UNKNOWN"), ""
    try:
        first: Any = json.loads(body)["errors"][0]
        code = str(first.get("code") or code).upper()
        message = str(first.get("message") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        text = body[:200].decode("utf-8", "replace").strip()
        message = "" if text.startswith("<") else text
    message = message or _MESSAGES.get(code, f"unexpected status {status} from the registry")
    if status == 429 and retry_after:
        message += f" (try again in {retry_after} seconds)"
    return RegistryError(code, message, status)


def pull_error(error: RegistryError, familiar: str, familiar_name: str) -> EngineError:
    """A refusal of a pull as dockerd words it."""
    if error.code == "DENIED":
        return NotFoundThere(
            f"pull access denied for {familiar_name}, repository does not exist or may require "
            f"'docker login': {error}"
        )
    if error.code in ("MANIFEST_UNKNOWN", "NOT_FOUND"):
        return NotFoundThere(f"manifest for {familiar} not found: {error}")
    if error.code == "NAME_UNKNOWN":
        return NotFoundThere(f"repository {familiar_name} not found: {error}")
    return error
