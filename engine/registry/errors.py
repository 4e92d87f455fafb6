"""What a registry refuses, in the words that dockerd passes on."""

import http
import json
from typing import Any

from engine.errors import EngineError, NotFound, Unauthorized

_MESSAGES = {
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "TOOMANYREQUESTS": "too many requests",
    "NOT_FOUND": "404 page not found",
}
_BY_STATUS = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 429: "TOOMANYREQUESTS"}


class RegistryError(EngineError):
    """A registry's refusal: its code (`MANIFEST_UNKNOWN`), HTTP status and message.

    retry_after: seconds until it may be asked again, as it says; 0 when it doesn't.
    """

    def __init__(
        self, code: str, message: str, http_status: int, *, retry_after: float = 0
    ) -> None:
        words = code.lower().replace("_", " ")
        super().__init__(f"{words}: {message}" if words else message)
        self.code = code
        self.http_status = http_status
        self.retry_after = retry_after

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.http_status in (408, 500, 502, 503, 504)


class Unreachable(EngineError):
    """No answer from the registry: names the address and the cause."""


class NotFoundThere(NotFound):
    """The registry doesn't have it (or doesn't show it)."""


def from_response(
    status: int, body: bytes, challenge: str = "", retry_after: str = "", address: str = ""
) -> RegistryError:
    """The error of an answer with status 400 or above; `address` is named where it says nothing."""
    if 'error="insufficient_scope"' in challenge:
        return RegistryError("DENIED", _MESSAGES["DENIED"], status)
    code, message = _stated(status, body)
    seconds = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10
    wait = float(retry_after) if seconds else 0.0
    if status == 429:
        message = message or _MESSAGES["TOOMANYREQUESTS"]
        if retry_after:
            when = f"in {retry_after} seconds" if seconds else f"after {retry_after}"
            message += f" (try again {when})"
    message = message or _MESSAGES.get(code, "")
    if not message:
        code, message = "", f"received unexpected HTTP status: {status} {_phrase(status)}".rstrip()
        message = f"{address}: {message}" if address else message
    return RegistryError(code, message, status, retry_after=wait)


def _stated(status: int, body: bytes) -> tuple[str, str]:
    """Code and message as the body has them, in one of the forms that registries use."""
    code = _BY_STATUS.get(status, "")
    try:
        answer: Any = json.loads(body)
        if isinstance(answer.get("details"), str):
            return code, str(answer["details"])
        first = answer["errors"][0]
        code = str(first.get("code") or code).upper()
        return code, str(first.get("message") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        text = body[:200].decode("utf-8", "replace").strip()
        plain = code and text and text.isprintable() and text[0] not in "<{["
        return code, text if plain else ""


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def pull_error(error: RegistryError, familiar: str, familiar_name: str) -> EngineError:
    """A refusal of a pull as dockerd words it, with its status."""
    if error.code == "DENIED":
        return NotFoundThere(
            f"pull access denied for {familiar_name}, repository does not exist or may require "
            f"'docker login': {error}"
        )
    if error.code in ("MANIFEST_UNKNOWN", "NOT_FOUND"):
        return NotFoundThere(f"manifest for {familiar} not found: {error}")
    if error.code == "NAME_UNKNOWN":
        return NotFoundThere(f"repository {familiar_name} not found: {error}")
    if error.code == "UNAUTHORIZED":
        return Unauthorized(str(error))
    return error
