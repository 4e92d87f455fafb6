"""crun's complaints in runc's words, with the exit code that docker run gives them."""

import pytest

from engine.runtime import failures


@pytest.mark.parametrize(
    ("message", "wanted", "code"),
    [
        (
            "executable file `nosuch` not found in $PATH: No such file or directory",
            'exec: "nosuch": executable file not found in $PATH',
            127,
        ),
        (
            "2026-01-01T00:00:00.123Z: executable file `/no` not found in $PATH: No such file",
            'exec: "/no": stat /no: no such file or directory',
            127,
        ),
        (
            "the path `/x` exists but it is not executable: Operation not permitted",
            'exec: "prog": permission denied',
            126,
        ),
        (
            "the path `/etc` is not a regular file: Operation not permitted",
            'exec: "prog": is a directory: permission denied',
            126,
        ),
        ("open executable: Permission denied", 'exec: "prog": permission denied', 126),
        (
            "open executable: Operation not permitted",
            'exec: "prog": is a directory: permission denied',
            126,
        ),
        (
            "chdir `/x/y`: No such file or directory",
            'chdir to cwd ("/x/y") set in config.json failed: no such file or directory',
            127,
        ),
        ("mount `a` to `b`: Invalid argument", "mount `a` to `b`: invalid argument", 128),
        ("", "the OCI runtime gave no reason", 128),
    ],
)
def test_wording(message, wanted, code):
    assert failures.wording(message, "prog") == (wanted, code)


def test_prefixes_and_statuses():
    create = failures.create_failure("executable file `x` not found in $PATH: No", "x")
    assert create.message == (
        "failed to create task for container: failed to create shim task: OCI runtime create"
        " failed: runc create failed: unable to start container process: error during container"
        ' init: exec: "x": executable file not found in $PATH: unknown'
    )
    assert (create.status, create.exit_code) == (400, 127)
    other = failures.exec_failure("something", "x")
    assert other.message.startswith("OCI runtime exec failed: exec failed: unable to start")
    assert other.status == 500
