"""A sealed copy runs as the program does, and nobody can change it."""

import os
import subprocess

import pytest

from engine.linux.sealed import sealed_copy


def test_a_copy_runs_and_stays_as_it_is():
    copy = sealed_copy("/bin/echo")
    assert copy != "/bin/echo"
    assert subprocess.run([copy, "hello"], capture_output=True, check=True).stdout == b"hello\n"
    with pytest.raises(OSError), open(copy, "r+b") as file:
        file.write(b"changed")
    os.close(int(copy.rpartition("/")[2]))


def test_what_cannot_be_read_is_used_as_it_is():
    assert sealed_copy("/no/such/program") == "/no/such/program"
