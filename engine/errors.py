"""Errors that a client may see; each class carries the HTTP status that Docker answers with.

Messages follow dockerd's wording, because clients match on it.
"""


class EngineError(Exception):
    """Base of every error with a place in the API; plain exceptions become 500."""

    status = 500

    def __init__(self, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers or {}


class NotModified(EngineError):
    """The state asked for is the state already there (start of a running container)."""

    status = 304


class BadRequest(EngineError):
    """The request can't be understood or asks for something invalid."""

    status = 400


class Unauthorized(EngineError):
    """A registry refused the credentials, or wants some."""

    status = 401


class Forbidden(EngineError):
    """The request is understood and refused (removing a predefined network)."""

    status = 403


class NotFound(EngineError):
    """No such object."""

    status = 404


class Conflict(EngineError):
    """The object is in a state that forbids the request, or the name is taken."""

    status = 409


class Unsupported(EngineError):
    """Docker has it, this engine or this platform does not."""

    status = 501


class Unavailable(EngineError):
    """The engine can't do it now and says until when."""

    status = 503
