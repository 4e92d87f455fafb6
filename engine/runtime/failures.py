"""The OCI runtime's complaints, worded as dockerd passes on runc's: clients match on them."""

import re

from engine.runtime.bundle import RuntimeFailure

NOT_FOUND = 127
NOT_EXECUTABLE = 126
OTHER = 128

_CREATE = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed:"
    " runc create failed: unable to start container process: error during container init: "
)
_EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "
_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z: ")
_MISSING = re.compile(r"executable file [`'](.*?)[`'] not found")
_CHDIR = re.compile(r"(?:chdir|cwd).*?[`'](.*?)[`'].*?: (.*)$")
_ERRNO = re.compile(r": ([A-Z][a-z]+(?: [a-z]+)*)$")


def wording(message: str, program: str) -> tuple[str, int]:
    """The reason in runc's words, and the exit code that `docker run` gives it."""
    text = _TIMESTAMP.sub("", message.strip().splitlines()[-1] if message.strip() else "")
    if match := _MISSING.search(text):
        name = match[1]
        if "/" in name:  # crun says so of paths as well
            return f'exec: "{name}": stat {name}: no such file or directory', NOT_FOUND
        return f'exec: "{name}": executable file not found in $PATH', NOT_FOUND
    lower = text.lower()
    if "executable" in lower or "regular file" in lower or lower.startswith("exec"):
        if "permission denied" in lower or "not executable" in lower:
            return f'exec: "{program}": permission denied', NOT_EXECUTABLE
        # crun before 1.9 says "operation not permitted" of a folder
        if any(words in lower for words in ("is a directory", "not a regular", "not permitted")):
            return f'exec: "{program}": is a directory: permission denied', NOT_EXECUTABLE
        if "no such file or directory" in lower:
            return f'exec: "{program}": stat {program}: no such file or directory', NOT_FOUND
    if "chdir" in lower and (match := _CHDIR.search(text)):
        reason = match[2].lower()
        code = NOT_FOUND if "no such file" in reason else NOT_EXECUTABLE
        return f'chdir to cwd ("{match[1]}") set in config.json failed: {reason}', code
    # runc's system errors are lower case; clients look for "permission denied" and the like
    text = _ERRNO.sub(lambda match: f": {match[1].lower()}", text)
    return text or "the OCI runtime gave no reason", OTHER


def create_failure(message: str, program: str) -> RuntimeFailure:
    """The error of a container that can't be created or started."""
    text, code = wording(message, program)
    return RuntimeFailure(f"{_CREATE}{text}: unknown", code)


def exec_failure(message: str, program: str) -> RuntimeFailure:
    """The error of an exec that can't be started."""
    text, code = wording(message, program)
    return RuntimeFailure(f"{_EXEC}{text}: unknown", code)


def update_failure(message: str, id: str) -> RuntimeFailure:
    """The error of limits that can't be changed."""
    text, code = wording(message, "")
    return RuntimeFailure(f"Cannot update container {id}: {text}: unknown", code)
