"""Columns of ps."""

import os

import pytest

from engine.errors import EngineError
from engine.runtime import top


def titles(arguments):
    return [title for _, title in top.columns(arguments)]


def test_common_options():
    assert titles("-ef") == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert titles("aux")[:4] == ["USER", "PID", "%CPU", "%MEM"]
    assert titles("-eo pid,comm=NAME,args") == ["PID", "NAME", "COMMAND"]
    assert titles("-o pid -o rss") == ["PID", "RSS"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-o comm", "Couldn't find PID field"),
        ("-o pid,nonsense", "unknown user-defined format specifier"),
        ("--sort=pid", "unsupported option"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(EngineError, match=message):
        top.columns(arguments)


def test_every_column_can_be_made_of_a_process():
    process = top._look(os.getpid(), 2e9, 1e9)
    assert process is not None
    for _, value in top._COLUMNS.values():
        assert isinstance(value(process), str)
