"""A failed operation as the user hears it: what failed, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of the `cove` command."""

    FAILED = 1
    USAGE = 2
    SETTING = 3
    MISSING = 4


class Failure(Exception):
    """An operation failed; `str()` is the whole message, one sentence a part.

    `what` names the operation, `why` the cause, `hint` what the user can do. They are sentences
    without a line break at the end; `why` and `hint` may be empty.
    """

    def __init__(
        self, what: str, why: str = "", hint: str = "", exit_code: int = ExitCode.FAILED
    ) -> None:
        super().__init__(what, why, hint, int(exit_code))
        self.what = what
        self.why = why
        self.hint = hint
        self.exit_code = int(exit_code)

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.hint) if part)

    def to_record(self) -> dict[str, Any]:
        """The JSON form that the agent's socket carries."""
        return {
            "what": self.what,
            "why": self.why,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Failure:
        """The inverse of `to_record`; lenient, since an older agent may have written it."""
        return cls(
            str(record.get("what", "The operation failed.")),
            str(record.get("why", "")),
            str(record.get("hint", "")),
            int(record.get("exit_code", ExitCode.FAILED)),
        )
