"""What ends a build, as errors of the API."""

from collections.abc import Sequence

from engine.errors import EngineError


class RunFailed(EngineError):
    """A RUN step ended with another code than 0."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        words = " ".join(command)
        super().__init__(f"The command '{words}' returned a non-zero code: {code}")
        self.code = code


class CopyFailed(EngineError):
    """A COPY or ADD can't find or place what it was told to."""

    status = 400
