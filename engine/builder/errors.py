"""What is wrong with a Dockerfile, in the words of Docker's builders."""

from engine.errors import BadRequest

PARSING = "failed to parse Dockerfile: "


class DockerfileError(BadRequest):
    """A Dockerfile can't be read or carried out; reason is the bare sentence, line is from 1.

    The message is what the classic builder answers: some reasons come with a prefix there.
    """

    def __init__(self, reason: str, line: int = 0, *, prefix: str = "") -> None:
        super().__init__(prefix + reason)
        self.reason = reason
        self.line = line

    def at(self, line: int, *, prefix: str = "") -> "DockerfileError":
        """The same error with a place, if it has none yet."""
        if self.line:
            return self
        return DockerfileError(self.reason, line, prefix=prefix)


def on_line(line: int) -> str:
    """The prefix of an instruction that is spelt right and says something wrong."""
    return f"dockerfile parse error on line {line}: "
