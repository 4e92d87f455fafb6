"""The multiplexed stream."""

import pytest

from engine.api import frames


def test_a_frame_is_header_and_data():
    assert frames.frame(frames.STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"


def test_parse_undoes_frame():
    text = frames.frame(1, b"out") + frames.frame(2, b"") + frames.frame(1, b"more")
    assert list(frames.parse(text)) == [(1, b"out"), (2, b""), (1, b"more")]


@pytest.mark.parametrize("cut", [3, 9])
def test_half_a_frame(cut):
    with pytest.raises(ValueError, match="ends inside"):
        list(frames.parse(frames.frame(1, b"out")[:cut]))
