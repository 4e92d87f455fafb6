"""From a request to an answer: find the handler, run it, turn errors into answers."""

import logging

from engine.api.body import ClientGone
from engine.api.request import Request
from engine.api.response import Response, json_response
from engine.api.router import Answer, Router
from engine.errors import EngineError

log = logging.getLogger("engine.api")


class Application:
    """All that the API answers; knows nothing of sockets."""

    def __init__(self, router: Router) -> None:
        self.router = router

    async def __call__(self, request: Request) -> Answer:
        """Run the handler of a request. Raises nothing but cancellation."""
        try:
            handler, request.params = self.router.find(request.method, request.path)
            return await handler(request)
        except Exception as error:
            if request.closed.is_set() and isinstance(error, ConnectionError | ClientGone):
                return None
            return failure(error, request)


def failure(error: Exception, request: Request | None = None) -> Response:
    """The answer that tells an error: its own status, or 500 with the trace in the log."""
    where = f"{request.method} {request.path}" if request else "request"
    if isinstance(error, EngineError):
        status, message = error.status, error.message
        if status == 500:
            log.error("%s: %s", where, message)
        if status == 304:
            return Response(304, headers=error.headers)
        answer = json_response({"message": message}, status)
        return Response(status, answer.body, {**answer.headers, **error.headers})
    log.error("%s failed", where, exc_info=error)
    return json_response({"message": sentence(error)}, 500)


def sentence(error: Exception) -> str:
    """What a client is told of an error that no one foresaw."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return str(error) or f"the engine failed: {type(error).__name__}"
